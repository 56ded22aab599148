"""Data: identified by content, split by a fixed rule, converted, and refused in one line."""

import contextlib
import hashlib
import http.server
import math
import threading
import time

import numpy as np
import pytest
from small_data import write

from shared import data as module
from shared.data import download, load_data
from shared.machine.checks import UsageError


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Hides every copy of MNIST, and gives the download an address without a server."""
    monkeypatch.delenv("MNIST_NPZ", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(download, "MNIST_URL", "http://127.0.0.1:9/mnist.npz")


def test_the_five_thousand_digits():
    data = load_data("mnist-5k")
    assert (data.x_train.shape, data.x_test.shape) == ((4000, 784), (1000, 784))
    assert np.bincount(data.y_train).tolist() == [400] * 10
    assert np.bincount(data.y_test).tolist() == [100] * 10
    assert data.x_train.dtype == np.float32
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    # No image is in both parts.
    train = {image.tobytes() for image in data.x_train}
    assert not any(image.tobytes() in train for image in data.x_test)
    # Upright digits: a one is taller than it is wide.
    one = data.x_train[data.y_train == 1].mean(axis=0).reshape(28, 28)
    assert (one.sum(axis=1) > 1).sum() > (one.sum(axis=0) > 1).sum()


def test_auto_prints_one_line_when_it_falls_back():
    said = []
    data = load_data("auto", said.append)
    assert data.name == "mnist-5k"
    (line,) = said
    assert "cannot download MNIST" in line and "mnist-5k" in line and "\n" not in line


def test_mnist_is_refused_where_it_cannot_be_obtained():
    with pytest.raises(UsageError, match=r"cannot be downloaded.*MNIST_NPZ"):
        load_data("mnist")


def test_integers_are_divided_by_255_and_keep_their_image_shape(tmp_path):
    data = load_data(write(tmp_path / "own.npz"))
    assert data.name == "own" and data.image_shape == (2, 2)
    expected = np.arange(20, dtype=np.float64).reshape(5, 4) * 12 / 255
    np.testing.assert_allclose(data.x_train, expected, rtol=1e-7)  # float32
    assert data.x_test.max() == 1


def test_binary_integers_stay_binary(tmp_path):
    x = np.array([[0, 1, 1, 0]] * 5, np.uint8)
    data = load_data(write(tmp_path / "b.npz", x_train=x, x_test=x[:3] > 0))
    assert set(data.x_train.ravel()) == set(data.x_test.ravel()) == {0, 1}


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((2, 3), (2, 3)),
        ((2, 3, 1), (2, 3)),
        ((2, 3, 3), (2, 3, 3)),
        ((2, 3, 4), (2, 3, 4)),
        ((3, 2, 3), (3, 2, 3)),  # the last axis is the channels, whatever the first one is
        ((9,), (3, 3)),
        ((10,), (1, 10)),
    ],
)
def test_the_shape_of_an_image(tmp_path, shape, image_shape):
    images = np.random.RandomState(0).randint(0, 256, (5, *shape), np.uint8)
    data = load_data(write(tmp_path / "own.npz", x_train=images, x_test=images[:3]))
    assert data.image_shape == image_shape
    assert data.describe()["image_shape"] == list(image_shape)
    assert data.input_dim == math.prod(image_shape)
    # Reshaped, the pixels are where they were.
    np.testing.assert_allclose(
        np.reshape(data.x_train, images.shape) * 255,
        images,
        rtol=1e-6,  # float32
    )


@pytest.mark.parametrize(
    "shape",
    [(2, 3, 2), (2, 3, 5), (3, 32, 32), (2, 2, 2, 3), (), (0,), (2, 0), (2, 0, 3)],
)
def test_other_shapes_are_refused(tmp_path, shape):
    images = np.zeros((5, *shape), np.uint8)
    path = write(tmp_path / "own.npz", x_train=images, x_test=images[:3])
    with pytest.raises(
        UsageError, match=r"x_train has shape.*channels.*or \(n, pixels\)"
    ) as refusal:
        load_data(path)
    assert str(images.shape) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, "lacks x_train"),
        ({"y_test": np.arange(4)}, "y_test.*expected one integer label for each of the 3"),
        ({"y_test": np.linspace(0, 1, 3)}, "y_test is float64"),
        ({"x_test": np.zeros((3, 3, 3), np.uint8)}, "expected one size"),
        ({"x_train": np.zeros((0, 2, 2), np.uint8), "y_train": np.arange(0)}, "has shape"),
        ({"x_train": np.full((5, 2, 2), 300, np.int64)}, "x_train is int64; expected values"),
        ({"x_train": np.full((5, 2, 2), 1.5)}, "x_train holds 1.5 at image 0; expected values"),
        ({"x_train": np.full((5, 2, 2), "a")}, "x_train is <U1; expected values"),
    ],
)
def test_broken_data_are_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message) as refusal:
        load_data(write(tmp_path / "own.npz", **changes))
    assert "\n" not in str(refusal.value)


def test_the_image_that_holds_nan_is_named(tmp_path):
    x = np.zeros((30, 2, 2))
    x[17, 1, 0] = np.nan
    path = write(tmp_path / "own.npz", x_train=x, y_train=np.arange(30))
    with pytest.raises(UsageError, match="x_train holds NaN at image 17; expected values in"):
        load_data(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"own\.npz") as refusal:
        load_data(str(path))
    assert "\n" not in str(refusal.value)


def test_pickled_objects_are_refused(tmp_path):
    path = write(tmp_path / "own.npz", y_train=np.array([{}] * 5, dtype=object))
    with pytest.raises(UsageError, match="cannot read"):
        load_data(path)


def test_a_file_called_mnist_must_be_mnist(tmp_path, monkeypatch):
    path = write(tmp_path / "mnist.npz")
    with pytest.raises(UsageError, match="is not MNIST: x_train has SHA-256"):
        load_data(path)
    # A bad MNIST_NPZ is refused, not ignored.
    monkeypatch.setenv("MNIST_NPZ", write(tmp_path / "copy.npz"))
    for name in ("auto", "mnist"):
        with pytest.raises(UsageError, match="is not MNIST"):
            load_data(name)
    monkeypatch.setenv("MNIST_NPZ", str(tmp_path / "gone.npz"))
    with pytest.raises(UsageError, match="no data at"):
        load_data("auto")


@contextlib.contextmanager
def serving(monkeypatch, body=b"not the file", status=200, length=None, silence=0, endless=False):
    """A server that answers one request for MNIST with this body, after seconds of silence."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(silence)
            with contextlib.suppress(OSError):  # the client may have closed the connection
                self.send_response(status)
                if length is not None:
                    self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(body)
                while endless:  # until the client closes the connection
                    self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        monkeypatch.setattr(download, "MNIST_URL", f"http://127.0.0.1:{server.server_port}/m")
        yield
        thread.join(10)


def test_a_download_is_written_completely(tmp_path, monkeypatch):
    body = np.random.RandomState(0).bytes(3_000_000)  # several reads
    monkeypatch.setattr(download, "MNIST_FILE_SHA256", hashlib.sha256(body).hexdigest())
    said, path = [], tmp_path / "keras" / "datasets" / "mnist.npz"
    with serving(monkeypatch, body, length=str(len(body))):
        download.download_mnist(path, said.append)
    assert path.read_bytes() == body
    assert [file.name for file in path.parent.iterdir()] == ["mnist.npz"]
    assert said == [f"downloading MNIST (3 MiB) to {path}"]


@pytest.mark.parametrize("length", [None, "12", "-1", "twelve"])
def test_a_download_with_a_wrong_hash_is_refused_and_not_kept(tmp_path, monkeypatch, length):
    with serving(monkeypatch, length=length), pytest.raises(UsageError, match="SHA-256"):
        load_data("auto", lambda line: None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("length", [None, "1000", "9" * 30])
def test_a_download_without_end_is_ended(tmp_path, monkeypatch, length):
    monkeypatch.setattr(download, "MNIST_FILE_SIZE", 2_000_000)
    answer = {"body": bytes(100_000), "length": length, "endless": True}
    with serving(monkeypatch, **answer), pytest.raises(UsageError, match="SHA-256"):
        load_data("auto", lambda line: None)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"length": "100"}, "12 bytes read, 88 more expected"),  # it breaks off
        ({"status": 404}, "Not Found"),
        ({"silence": 0.5}, "timed out"),
    ],
)
def test_a_download_that_fails_leaves_nothing(tmp_path, monkeypatch, answer, reason):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    said = []
    with serving(monkeypatch, **answer):
        assert load_data("auto", said.append).name == "mnist-5k"
    assert "cannot download MNIST" in said[-1] and reason in said[-1] and "\n" not in said[-1]
    with serving(monkeypatch, **answer), pytest.raises(UsageError, match=reason) as refusal:
        load_data("mnist", said.append)
    assert "\n" not in str(refusal.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_binarization_draws_each_pixel_by_its_grey_value():
    from shared.config import recipe
    from shared.data import evaluation_images, training_images

    x = np.tile(np.linspace(0, 1, 11, dtype=np.float32), (20_000, 1))
    dynamic = recipe("nats", seed=3)
    drawn = training_images(x, dynamic, 1)
    assert set(np.unique(drawn)) == {0, 1}
    # The standard error of a share of 20,000 draws is at most 0.0036.
    assert np.abs(drawn.mean(axis=0) - x[0]).max() < 5 * 0.0036
    assert (drawn[:, 0] == 0).all() and (drawn[:, -1] == 1).all()
    # Different for each epoch and seed, and the same when called again.
    assert (drawn == training_images(x, dynamic, 1)).all()
    assert (drawn != training_images(x, dynamic, 2)).any()
    assert (drawn != training_images(x, recipe("nats", seed=4), 1)).any()
    # Fixed: the same in every epoch. Test set: the same in every run. Binary pixels do not change.
    fixed = [recipe("post-keras", binarization="fixed", seed=seed) for seed in (0, 1)]
    assert (training_images(x, fixed[0], 1) == training_images(x, fixed[1], 9)).all()
    once = evaluation_images(x, dynamic)
    assert (once == evaluation_images(x, fixed[0])).all()
    assert (evaluation_images(once, dynamic) == once).all()
    assert training_images(x, recipe("post-keras"), 1) is x


@pytest.mark.mnist
def test_mnist_is_known_by_its_content(monkeypatch, request):
    import os

    monkeypatch.undo()  # the fixture hides MNIST_NPZ
    data = load_data("auto")
    assert (data.name, data.source) == ("mnist", "mnist")
    assert data.sha256 == module.MNIST_SHA256
    assert (data.x_train.shape, data.x_test.shape) == ((60000, 784), (10000, 784))
    # Given by its path, the file is recognised as MNIST too.
    assert load_data(os.environ["MNIST_NPZ"]).name == "mnist"
