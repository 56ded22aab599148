"""Reading a weights.npz in the browser: npz.js, in a real browser (make test-page)."""

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import shared.show.page
from shared.config import recipe
from shared.run.files import npz_bytes
from shared.weights import weight_shapes

pytest_plugins = ["page_fixtures"]
pytestmark = pytest.mark.browser

SOURCE = Path(shared.show.page.__file__).with_name("npz.js")
CONFIG = recipe("post-keras", hidden_dims=(5,))
READ = """async ([text, inputDim]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  try {
    const arrays = await readNpz(bytes.buffer);
    const weights = inputDim && modelWeights(arrays, inputDim);
    const base64 = (array) => btoa(String.fromCharCode(...new Uint8Array(array.buffer)));
    return Object.fromEntries(Object.entries(arrays).map(([name, { type, shape, values }]) =>
      [name, [type, shape, values && base64(weights?.[name] ?? values)]]));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [error.key, error.values];
  }
}"""


@pytest.fixture(scope="module")
def script(chromium):
    """A page that has npz.js and nothing else."""
    page = chromium.new_page()
    page.add_script_tag(content=SOURCE.read_text(encoding="utf-8"))
    yield page
    page.close()


def read(script, content, input_dim=None):
    """What npz.js makes of a file: {name: (type, shape, bytes)}, or its refusal [key, values]."""
    found = script.evaluate(READ, [base64.b64encode(content).decode(), input_dim])
    if isinstance(found, list):
        return found
    return {
        name: (kind, tuple(shape), values and base64.b64decode(values))
        for name, (kind, shape, values) in found.items()
    }


def saved(save, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def model(**changes):
    """Random weights of a model of 12 pixels; a change to None leaves an array out."""
    random = np.random.RandomState(1)
    weights = {
        name: random.normal(0, 1, shape).astype(np.float32)
        for name, shape in weight_shapes(CONFIG, 12).items()
    }
    weights |= {name.replace("__", "/"): array for name, array in changes.items()}
    return {name: array for name, array in weights.items() if array is not None}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_bit_of_an_npz_arrives(script, save):
    random = np.random.RandomState(0)
    bits = random.randint(0, 2**32, 35, np.uint64).astype(np.uint32)
    bits[:6] = 0x80000000, 1, 0x7F800000, 0x7FC12345, 0xFF812345, 0x7F7FFFFF  # -0, NaN with payload
    arrays = {
        "a": bits.view(np.float32).reshape(5, 7),
        "b/c": random.normal(0, 1, 300).astype(np.float32),
        "scalar": np.float32(1.5),
        "empty": np.zeros((0, 3), np.float32),
        "fortran": np.asfortranarray(random.normal(0, 1, (4, 3)).astype(np.float32)),
    }
    found = read(script, saved(save, **arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name] == ("<f4", array.shape, array.tobytes() or ""), name


def test_arrays_of_another_type_are_named_and_not_read(script):
    found = read(script, saved(np.savez, step=np.int64(7), names=np.array(["x"]), d=np.ones(2)))
    assert {name: each[0] for name, each in found.items()} == {
        "step": "<i8", "names": "<U1", "d": "<f8",
    }  # fmt: skip
    assert all(each[2] is None for each in found.values())


def test_the_file_of_a_run_with_its_step_in_the_comment_is_read(script):
    weights = model()
    found = read(script, npz_bytes(weights, step=3000), 12)
    assert {name: each[2] for name, each in found.items()} == {
        name: array.tobytes() for name, array in weights.items()
    }


def test_several_hidden_layers_and_slots_of_the_optimizer_are_read(script):
    config = recipe("post-keras", hidden_dims=(5, 3))
    weights = {n: np.ones(s, np.float32) for n, s in weight_shapes(config, 12).items()}
    slots = {f"optimizer/velocity/{name}": array for name, array in weights.items()}
    assert "decoder/hidden_2/kernel" in read(script, npz_bytes(weights | slots), 12)


def test_no_cut_and_no_changed_byte_of_the_arrays_passes(script):
    """Every cut file is refused, and every one with a changed byte in an array."""
    for save in (np.savez, np.savez_compressed):
        weights = model()
        content = saved(save, **weights)
        for length in [*range(0, len(content), 97), len(content) - 1]:
            assert read(script, content[:length], 12)[0] == "own-no-npz", length
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            entries = file.infolist()
        for entry in entries:
            header = content[entry.header_offset + 26 :][:4]
            begin = entry.header_offset + 30 + header[0] + header[2]
            # The last byte of a deflated member may have bits that mean nothing.
            for place in (begin + 3, begin + entry.compress_size // 2):
                changed = bytearray(content)
                changed[place] ^= 0x40
                assert read(script, changed, 12) == ["own-damaged", {"name": entry.filename}]


def test_another_file_is_refused(script):
    assert read(script, b"")[0] == "own-no-npz"
    assert read(script, b"hello, world" * 40)[0] == "own-no-npz"
    assert read(script, saved(np.savez), 12) == [
        "own-missing", {"name": "encoder/hidden_1/kernel", "found": "–"},
    ]  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("readme.txt", "not an array, but long enough")
    assert read(script, buffer.getvalue()) == ["own-no-npy", {"name": "readme.txt"}]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.npy", "x" * 100)
    assert read(script, buffer.getvalue()) == ["own-method", {"name": "a.npy", "method": 14}]


def bomb():
    """An archive of 300 kB whose directory says 300 MB."""
    return saved(np.savez_compressed, a=np.zeros(75_000_000, np.float32))


def test_an_archive_of_too_many_bytes_is_refused_before_it_is_unpacked(script):
    assert read(script, bomb()) == ["own-large", {"limit": 256}]


ALL = list(weight_shapes(CONFIG, 12))


@pytest.mark.parametrize(
    ("changes", "key", "values"),
    [
        (
            {"encoder__z_log_var__kernel": None, "encoder__z_log_var__bias": None},
            "own-missing",
            {
                "name": "encoder/z_log_var/kernel",
                "found": ", ".join(name for name in ALL if "log_var" not in name),
            },
        ),
        (
            {"decoder__log_var__bias": np.zeros(12, np.float32)},
            "own-extra",
            {"name": "decoder/log_var/bias", "wanted": ", ".join(ALL)},
        ),
        (
            {"encoder__z_mean__kernel": np.zeros((5, 20), np.float32)},
            "own-shape",
            {"name": "encoder/z_mean/kernel", "found": "(5, 20)", "wanted": "(5, 2)"},
        ),
        (
            {"encoder__hidden_1__kernel": np.zeros((13, 5), np.float32)},
            "own-shape",
            {"name": "encoder/hidden_1/kernel", "found": "(13, 5)", "wanted": "(12, 5)"},
        ),
        (
            {"decoder__logits__bias": np.zeros(12)},
            "own-type",
            {"name": "decoder/logits/bias", "type": "<f8"},
        ),
        (
            {"decoder__hidden_1__bias": np.float32([0, 0, np.inf, 0, 0])},
            "own-not-finite",
            {"name": "decoder/hidden_1/bias"},
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_what_was_found(script, changes, key, values):
    assert read(script, npz_bytes(model(**changes)), 12) == [key, values]
