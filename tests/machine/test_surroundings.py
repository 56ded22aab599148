"""Bad surroundings: the system refuses, a size is too large, a setting changes results.

Each ends in one line that names the cause, before TensorFlow is imported, and writes nothing.
"""

import errno
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from shared.command.line import exit_status, main
from shared.config import recipe
from shared.data import load_data
from shared.machine import npz
from shared.machine.arithmetic import FLAGS
from shared.machine.backend import check_backend
from shared.machine.checks import INT32_MAX, UsageError
from shared.machine.process import report
from shared.weights import check_size, weight_shapes

SMALL = ["train", "--data", "mnist-5k", "--hidden-dims", "4", "--epochs", "1"]

INVARIANTS = "while-loop-invariant-code-motion"


def refusal(capsys, arguments, status):
    """The one line of a refused command."""
    assert main("tf_vae", arguments) == status
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    return line


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with its own Keras settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KERAS_BACKEND", "")
    (tmp_path / "keras").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--latent-dim", "1000000000"], "GiB of memory"),
        (["--hidden-dims", "1000000000"], "GiB of memory"),
        (["--epochs", "2000000000"], "80,000,000,000 steps; expected at most 2,147,483,647"),
    ],
)
def test_what_cannot_fit_is_refused(place, capsys, flags, message):
    assert message in refusal(capsys, [*SMALL, *flags], 2)
    assert os.listdir(place) == ["keras"]


def test_what_fits_is_not_refused():
    """The estimate is a lower bound: the largest networks of the documentation are far below it."""
    check_size(recipe("nats"), 784, 60000)
    check_size(recipe("post-tf", likelihood="categorical", levels=256), 784, 60000)
    longest = recipe("post-keras", epochs=None, steps=INT32_MAX, batch_size=1)
    check_size(longest, 784, 60000)
    assert next(longest.epoch_ends(60000)) == (1, 0, 60000)  # epochs are not listed in advance


def test_a_step_is_an_int32():
    """It is a part of the seed of the noise, and 2^31 would be -2^31."""
    n = 2**16
    check_size(recipe("post-keras", epochs=2**15 - 1, batch_size=1), 784, n)
    with pytest.raises(UsageError, match="2,147,483,648 steps; expected at most 2,147,483,647"):
        check_size(recipe("post-keras", epochs=2**15, batch_size=1), 784, n)


def test_the_estimate_counts_weights_and_outputs(monkeypatch):
    """4 bytes for each weight four times (itself, its gradient, two slots), each output twice."""
    config = recipe("post-keras", hidden_dims=(5,), latent_dim=2, batch_size=10)
    weights = sum(np.prod(shape) for shape in weight_shapes(config, 9).values())
    assert weights == (9 * 5 + 5) + 2 * (5 * 2 + 2) + (2 * 5 + 5) + (5 * 9 + 9)
    exact = 4 * (4 * weights + 2 * 10 * (5 + 2 + 2 + 5 + 9))
    monkeypatch.setattr("shared.weights.machine_memory", lambda: exact)
    check_size(config, 9, 100)
    monkeypatch.setattr("shared.weights.machine_memory", lambda: exact - 1)
    with pytest.raises(UsageError, match="batches of 10"):
        check_size(config, 9, 100)


def make_pipe(path):
    os.mkfifo(path)


def make_bomb(path):
    """A header of 2 TiB with nothing behind it."""
    with zipfile.ZipFile(path, "w") as file, file.open("x_train.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**31, 32, 32)}
        np.lib.format.write_array_header_1_0(member, header)


def make_text_member(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x_train.npy", "no array")


def make_broken_header(path):
    """A header whose text is no expression, which NumPy gives to Python's tokenizer."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, ((('}"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x_train.npy", content)


def make_objects(path):
    np.savez(path, **dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), np.array([{}])))


def make_damaged(path):
    """Compressed arrays with changed bytes in the middle of the first one."""
    x, y = np.random.RandomState(0).randint(0, 255, (50, 8, 8)).astype(np.uint8), np.zeros(50, int)
    np.savez_compressed(path, x_train=x, y_train=y, x_test=x, y_test=y)
    content = bytearray(path.read_bytes())
    content[500:600] = bytes(100)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        os.mkdir,
        make_pipe,
        make_bomb,
        make_text_member,
        make_broken_header,
        make_objects,
        make_damaged,
    ],
)
def test_a_data_file_that_cannot_be_read_is_refused_in_one_line(make, place, capsys):
    make(place / "own.npz")
    line = refusal(capsys, [*SMALL, "--data", "own.npz"], 2)
    expected = "cannot read own.npz: ", "own.npz holds arrays of 2,048.0 GiB"
    # A folder may hold the arrays as .npy files; this one holds none.
    assert line.startswith((*expected, "own.npz lacks x_train-00000.npy; expected files"))


def test_the_sizes_in_the_headers_are_compared_with_the_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / "own.npz", x=np.zeros((10, 3), np.float32), y=np.zeros(7, np.int64))
    monkeypatch.setattr(npz, "machine_memory", lambda: 10 * 3 * 4 + 7 * 8)
    headers = npz.read_headers(tmp_path / "own.npz")
    assert headers == {"x": ((10, 3), np.float32), "y": ((7,), np.int64)}
    monkeypatch.setattr(npz, "machine_memory", lambda: 10 * 3 * 4 + 7 * 8 - 1)
    with pytest.raises(UsageError, match="GiB"):
        npz.read_headers(tmp_path / "own.npz")


@pytest.mark.parametrize("name", ["a\nb.npz", "a\u202eb.npz", "a\udcffb.npz", "a\x1b[31m.npz"])
def test_a_message_is_one_line_whatever_a_file_is_called(name, place, capsys):
    line = refusal(capsys, [*SMALL, "--data", name], 2)
    assert line.isprintable() and line.startswith("no data at a\\")


@pytest.mark.parametrize(
    ("make", "status", "message"),
    [
        (lambda path: os.symlink("run", path), 2, "run is not a folder"),
        (lambda path: os.symlink("/nowhere/at/all", path), 2, "run is not a folder"),
        (lambda path: path.write_text("mine", encoding="utf-8"), 2, "run is not a folder"),
        (lambda path: (path / ".lock").mkdir(parents=True), 1, "Is a directory"),
    ],
    ids=["a link to itself", "a dangling link", "a file", "a lock that is a folder"],
)
def test_an_out_that_is_no_folder_is_refused(make, status, message, place, capsys):
    make(place / "run")
    assert message in refusal(capsys, [*SMALL, "--out", "run"], status)


def test_an_out_that_the_system_refuses_is_reported_in_one_line(place, capsys):
    (place / "file").write_text("mine", encoding="utf-8")
    assert "Not a directory" in refusal(capsys, [*SMALL, "--out", "file/run"], 1)
    assert "File name too long" in refusal(capsys, [*SMALL, "--out", "a" * 300], 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "it holds a list"),
        ("null", "it holds a NoneType"),
        ('"tensorflow"', "it holds a str"),
        ("[" * 100_000, "cannot be read"),
        ("{", "cannot be read"),
        ('{"epsilon": 0.1}', "sets epsilon 0.1; expected 1e-07"),
        ('{"image_data_format": "channels_first"}', "expected 'channels_last'"),
        ('{"backend": ["tensorflow"]}', "names the Keras backend ['tensorflow']"),
    ],
)
def test_settings_of_keras_that_change_results_are_refused(content, message, place, capsys):
    (place / "keras" / "keras.json").write_text(content, encoding="utf-8")
    assert message in refusal(capsys, SMALL, 2)
    assert os.listdir(place) == ["keras"]


@pytest.mark.parametrize("name", ["KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"])
def test_variables_that_shorten_fit_are_refused(name, place, monkeypatch, capsys):
    monkeypatch.setenv(name, "1")
    assert refusal(capsys, SMALL, 2).startswith(f"{name} is set")


@pytest.mark.parametrize(
    "flag", ["--xla_cpu_enable_fast_math=true", "--xla_backend_optimization_level=0", "--unknown"]
)
def test_flags_of_xla_that_change_results_are_refused(flag, place, monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to=dump {flag}")
    assert refusal(capsys, SMALL, 2) == (
        f"XLA_FLAGS holds {flag}, which may change results; unset it"
    )
    assert os.listdir(place) == ["keras"]
    flags = "--xla_dump_to=dump --xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
    monkeypatch.setenv("XLA_FLAGS", flags)
    check_backend("tf_vae")


@pytest.mark.parametrize(
    "given, passes",
    [
        ("", [INVARIANTS]),
        ("--xla_dump_to=dump", [INVARIANTS]),
        ("--xla_disable_hlo_passes=dce", ["dce", INVARIANTS]),
        (f"--xla_disable_hlo_passes={INVARIANTS},dce", [INVARIANTS, "dce"]),
        (
            f"--xla_disable_hlo_passes={INVARIANTS} --xla_disable_hlo_passes=dce",
            [INVARIANTS, "dce"],
        ),
    ],
)
def test_a_users_list_of_disabled_passes_is_extended(given, passes):
    """XLA reads the last of several lists, so there must be one, with the pass of this project."""
    code = "import os, shared.machine.arithmetic as a; a._set()"  # and a second time
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(os.environ['XLA_FLAGS'])"],
        env={**os.environ, "XLA_FLAGS": given},
        capture_output=True,
        text=True,
        check=True,
    )
    others = [flag for flag in given.split() if "disable" not in flag]
    others += [f"{name}={value}" for name, value in FLAGS.items()]
    assert done.stdout.split() == [*others, f"--xla_disable_hlo_passes={','.join(passes)}"]


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "f"), "f: No space left on device; safe"),
        (OSError("odd"), "error: odd; safe"),
        (MemoryError("8 GiB"), "not enough memory: 8 GiB; safe"),
    ],
)
def test_errors_of_the_system_are_one_line_and_status_1(error, line, capsys):
    assert exit_status(raising(error), "safe") == 1
    assert capsys.readouterr().err == line + "\n"


def test_an_unexpected_error_is_logged_and_a_test_sees_it(capsys):
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: 1 / 0)
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        report(type(error), error, error.__traceback__)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(r"unexpected ValueError: two\nlines; ")
    path = line.rsplit(" ", 1)[1]
    with open(path, encoding="utf-8") as log:
        text = log.read()
    os.unlink(path)
    assert "Traceback" in text and "test_surroundings.py" in text and "'tensorflow'" in text


def test_output_survives_an_encoding_and_a_reader_that_ends():
    code = (
        "from shared.command.line import exit_status; exit_status(lambda: print('0.1 \\u00b1 0.2'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"0.1 \\xb1 0.2\n" and done.stderr == b""
    code = "from shared.command.line import exit_status; "
    code += "exit_status(lambda: print('line\\n' * 100_000))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_closed_streams_discard_what_is_printed(tmp_path):
    code = """
import sys
from shared.machine.process import set_up

assert sys.stdout is None and sys.stderr is None
set_up()
with open("results", "w") as file:
    print("a line")
    print("an error", file=sys.stderr)
    sys.stdout.flush()
    file.write("content")
"""

    def close():
        os.closerange(0, 3)

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, preexec_fn=close)
    assert done.returncode == 0
    assert (tmp_path / "results").read_text(encoding="utf-8") == "content"


def test_data_with_a_missing_file_name_no_folder(place):
    with pytest.raises(UsageError, match=r"no data at nowhere/own\.npz"):
        load_data("nowhere/own.npz")
