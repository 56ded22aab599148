"""Data in a folder of .npy files: the bits of the .npz, and what is refused."""

import mmap
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from bits import differing, same_bits

from shared.beyond.shards import write_shards
from shared.config import recipe
from shared.data import load_data
from shared.data.pixels import Pixels
from shared.machine.checks import UsageError


def folder(path, tmp_path, per_file=70):
    write_shards(path, tmp_path / "digits", per_file)
    return tmp_path / "digits"


def test_a_folder_holds_the_same_data_as_its_npz(data_path, tmp_path):
    expected, data = load_data(str(data_path)), load_data(str(folder(data_path, tmp_path)))
    assert data.sha256 == expected.sha256
    assert (data.name, data.source) == ("digits", str(tmp_path / "digits"))
    assert data.image_shape == expected.image_shape
    for array in ("x_train", "y_train", "x_test", "y_test"):
        assert same_bits(getattr(data, array), getattr(expected, array))
    assert [len(part) for part in data.train.parts] == [70, 70, 70, 70, 20]


@pytest.mark.parametrize("kind", ["uint8", "bool", "float32", "binary uint8"])
def test_every_type_of_pixels(kind, tmp_path):
    x = np.random.RandomState(0).randint(0, 256, (10, 2, 3, 4), np.uint8)
    x = {
        "uint8": x,
        "bool": x > 127,
        "float32": x / np.float32(255),
        "binary uint8": (x > 127).astype(np.uint8),
    }[kind]
    path = tmp_path / "own.npz"
    np.savez(path, x_train=x, y_train=np.arange(10), x_test=x[:4], y_test=np.arange(4))
    expected, data = load_data(str(path)), load_data(str(folder(path, tmp_path, 3)))
    assert isinstance(data.train, Pixels) and len(data.train.parts) == 4
    assert same_bits(data.x_train, expected.x_train)
    assert data.image_shape == (2, 3, 4) and data.sha256 == expected.sha256


@pytest.mark.long
@pytest.mark.parametrize("binarization", ["none", "dynamic"])
def test_training_on_a_folder_gives_the_same_bits(
    binarization, uneven_data, implementations, tmp_path
):
    data = load_data(str(folder(uneven_data.source, tmp_path)))
    name = {"none": "post-tf", "dynamic": "nats"}[binarization]
    length = {"epochs": 2} if binarization == "dynamic" else {"steps": 7}
    config = recipe(name, hidden_dims=(4,), latent_dim=2, batch_size=60, **length)
    assert config.binarization == binarization
    for implementation in implementations.values():
        expected, results = (
            implementation.train(config, each, verbose=0) for each in (uneven_data, data)
        )
        weights = [implementation.gather(model) for model, _ in (expected, results)]
        assert not differing(*weights)
        assert [row["loss"] for row in results[1].history] == [
            row["loss"] for row in expected[1].history
        ]


def test_validation_images_are_in_the_folder_too(tmp_path):
    x = np.random.RandomState(0).randint(0, 256, (10, 2, 3), np.uint8)
    y = np.arange(10)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y, x_valid=x[:7])
    data = load_data(str(folder(tmp_path / "a.npz", tmp_path, 4)))
    assert [len(part) for part in data.held_out.parts] == [4, 3]
    assert same_bits(data.x_valid, load_data(str(tmp_path / "a.npz")).x_valid)


@pytest.mark.long
def test_a_run_is_continued_on_a_folder_with_the_same_data(data_path, tmp_path):
    from shared.command.line import main

    flags = ["--hidden-dims", "4", "--epochs", "2", "--out", str(tmp_path / "run")]
    assert main("tf_vae", ["train", *flags, "--data", str(data_path)]) == 0
    flags[3] = "3"
    shards = str(folder(data_path, tmp_path))
    assert main("tf_vae", ["train", *flags, "--data", shards, "--resume"]) == 0


def test_files_without_hashes_are_read_in_the_order_of_their_numbers(data_path, tmp_path):
    path = folder(data_path, tmp_path, 20)
    (path / "SHA256SUMS").unlink()
    for file in path.glob("*.npy"):
        array, number = file.stem.split("-")
        file.rename(path / f"{array}-{int(number)}.npy")  # 10 would be sorted before 2
    assert same_bits(load_data(str(path)).x_train, load_data(str(data_path)).x_train)


def damage(name, change):
    def apply(path):
        content = bytearray((path / name).read_bytes())
        (path / name).write_bytes(change(content))

    return apply


def replace(name, array, **options):
    return lambda path: np.save(path / name, array, **options)


def without_sums(change):
    def apply(path):
        (path / "SHA256SUMS").unlink()
        change(path)

    return apply


def flipped(content):
    content[-1] ^= 1
    return content


FIRST = "x_train-00000.npy"
GREY = np.zeros((70, 6, 6), np.uint8)
REFUSED = {
    "a flipped bit": (damage(FIRST, flipped), f"{FIRST} is damaged: its SHA-256 is not"),
    "a missing file": (lambda p: (p / "x_test-00002.npy").unlink(), "lacks x_test-00002.npy"),
    "no last file": (
        lambda p: [(p / f"{a}_train-00004.npy").unlink() for a in "xy"],
        "x_train-00004.npy is in SHA256SUMS and is missing",
    ),
    "a new file": (replace("y_test-00008.npy", GREY), "y_test-00008.npy is not in SHA256SUMS"),
    "two of a number": (replace("x_train-0.npy", GREY), "x_train-0.npy and x_train-00000.npy"),
    "sums of bytes": (lambda p: (p / "SHA256SUMS").write_bytes(b"\xff"), "cannot read"),
    "a truncated file": (
        without_sums(damage(FIRST, lambda content: content[:-1])),
        "its header promises",
    ),
    "no header": (without_sums(damage(FIRST, lambda content: content[100:])), "cannot read"),
    "an empty file": (without_sums(damage(FIRST, lambda content: b"")), "cannot read"),
    "objects": (
        without_sums(replace(FIRST, np.array([None] * 70), allow_pickle=True)),
        "cannot read|bytes; its header|expected images",
    ),
    "no images": (without_sums(replace(FIRST, GREY[:0])), "expected images or labels"),
    "a scalar": (without_sums(replace(FIRST, np.uint8(3))), "expected images"),
    "another size": (without_sums(replace(FIRST, GREY[:, :5])), "images of one type and size"),
    "another type": (without_sums(replace(FIRST, GREY > 0)), "images of one type and size"),
    "doubles": (without_sums(replace(FIRST, GREY / 255.0)), "is float64; expected uint8"),
    "Fortran order": (without_sums(replace(FIRST, np.asfortranarray(GREY))), "Fortran order"),
    "too few labels": (without_sums(replace("y_train-00000.npy", np.arange(69))), "a label for"),
    "a folder": (
        without_sums(lambda p: ((p / FIRST).unlink(), (p / FIRST).mkdir())),
        "is not a file",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_a_folder_that_is_damaged_is_refused(change, message, data_path, tmp_path):
    path = folder(data_path, tmp_path)
    change(path)
    with pytest.raises(UsageError, match=message) as refusal:
        load_data(str(path))
    assert "\n" not in str(refusal.value)


def test_float_images_out_of_range_are_refused_with_their_number(tmp_path):
    x = np.full((10, 2, 2), 0.5, np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(10), x_test=x, y_test=np.arange(10))
    path = folder(tmp_path / "a.npz", tmp_path, 4)
    (path / "SHA256SUMS").unlink()
    x[1, 0, 1] = np.nan
    np.save(path / "x_train-00001.npy", x[:4])
    with pytest.raises(UsageError, match="x_train holds NaN at image 5; expected values in"):
        load_data(str(path))


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="not on this system")
def test_what_was_read_of_a_file_takes_no_memory_afterwards(tmp_path):
    """Reads 64 MB of images in batches, and counts the pages of files in this process."""

    def mapped():
        with open("/proc/self/status", encoding="utf-8") as file:
            return int(next(line.split()[1] for line in file if line.startswith("RssFile")))

    x = np.random.RandomState(0).randint(0, 256, (80_000, 28, 28), np.uint8)
    y = np.zeros(len(x), np.uint8)
    np.savez(tmp_path / "large.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
    data = load_data(str(folder(tmp_path / "large.npz", tmp_path, 30_000)))
    before = mapped()
    for start in range(0, len(x), 10_000):
        data.train[start : start + 10_000]
        assert mapped() < before + 2_000  # kB, of 7,840 per batch


def test_the_converter_is_a_program(data_path, tmp_path):
    def convert(*arguments):
        command = [sys.executable, "-m", "shared.beyond.shards", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    out = tmp_path / "new" / "digits"
    assert convert(data_path, out, "--images-per-file", 200).returncode == 0
    assert same_bits(load_data(str(out)).x_test, load_data(str(data_path)).x_test)
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 2 * 2 + 2 * 3 + 1
    again = convert(data_path, out)
    assert again.returncode == 2 and "exists; name another folder" in again.stderr
    assert sorted(path.name for path in out.iterdir()) == names


def test_a_damaged_npz_leaves_no_folder(data_path, tmp_path):
    with zipfile.ZipFile(data_path) as file:
        place = file.getinfo("x_test.npy").header_offset + 5_000
    content = bytearray(data_path.read_bytes())
    content[place] ^= 1
    (tmp_path / "damaged.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read .*Bad CRC"):
        folder(tmp_path / "damaged.npz", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.npz"]
    with pytest.raises(UsageError, match="0 images per file"):
        folder(data_path, tmp_path, 0)
    with pytest.raises(UsageError, match="no data at"):
        folder(tmp_path / "missing.npz", tmp_path)
