"""Own arrays: without labels or with names, without a test set, and the split that is made then."""

import numpy as np
import pytest
from small_data import write

from shared.config import recipe
from shared.data import check_order, load_data
from shared.data.parts import split_rows
from shared.machine.checks import UsageError

IMAGES = np.random.RandomState(0).randint(0, 256, (103, 3, 2), np.uint8)
NAMES = np.array(["cat", "dog", "a very long name of a kind of bird"])


def refusal(path):
    with pytest.raises(UsageError) as error:
        load_data(str(path))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 9, 10, 103, 1000])
def test_a_fifth_is_split_off(n):
    train, test = split_rows(n)
    assert sorted([*train, *test]) == list(range(n))
    assert len(test) == max(1, n // 5)
    for again in split_rows(n), split_rows(n, np.zeros(n, int)):
        assert len(again[1]) == len(test)
    assert (split_rows(n)[0] == train).all() and (split_rows(n)[1] == test).all()


def test_every_class_has_its_share_of_both_parts():
    labels = np.repeat(np.arange(5), [500, 101, 60, 7, 3])
    train, test = split_rows(len(labels), labels)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, count in enumerate(np.bincount(labels)):
        assert abs((labels[test] == label).sum() - count / 5) < 1
    # Both are mixed: no class follows another.
    assert np.count_nonzero(np.diff(labels[train])) > 50


def test_a_file_without_a_test_set_is_split_by_seed_0(tmp_path):
    labels = np.arange(103) % 4
    path = write(tmp_path / "o.npz", x_train=IMAGES, y_train=labels, x_test=None, y_test=None)
    data, (train, test) = load_data(path), split_rows(103, labels)
    assert (data.n_train, data.n_test) == (83, 20)
    for part, rows in (("train", train), ("test", test)):
        x = IMAGES[rows].reshape(-1, 6).astype(np.float32) / np.float32(255)
        assert (getattr(data, f"x_{part}") == x).all()
        assert (getattr(data, f"y_{part}") == labels[rows]).all()
    assert data.understood == (
        "o: 103 grey images of 3 × 2, 4 classes from y_train, 80/20 split by seed 0"
    )
    again = load_data(path)
    assert again.sha256 == data.sha256 and data.sha256.keys() == {
        "x_train",
        "y_train",
        "x_test",
        "y_test",
    }
    # In the order of the split, windows of the stored order are mixed.
    check_order(recipe("post-tf", batch_size=10), data)


def test_an_array_alone_has_no_labels(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    data, (train, test) = load_data(str(tmp_path / "x.npy")), split_rows(103)
    assert data.y_train is None and data.y_test is None and data.names_of(None) is None
    assert (data.test.stored(slice(None)) == IMAGES[test].reshape(-1, 6)).all()
    assert (data.train.stored(slice(None)) == IMAGES[train].reshape(-1, 6)).all()
    assert data.understood.startswith("x: 103 grey images of 3 × 2, no labels (")
    check_order(recipe("post-tf", batch_size=10), data)


def test_labels_may_be_missing_in_both_parts_or_in_neither(tmp_path):
    data = load_data(write(tmp_path / "a.npz", y_train=None, y_test=None))
    assert data.y_train is None and (data.n_train, data.n_test) == (5, 3)
    assert "5 + 3 grey images" in data.understood and "as given" in data.understood
    for missing, there in (("y_train", "y_test"), ("y_test", "y_train")):
        message = refusal(write(tmp_path / "b.npz", **{missing: None}))
        assert f"lacks {missing} and holds {there}" in message
    assert "lacks x_test and holds y_test" in refusal(write(tmp_path / "c.npz", x_test=None))


@pytest.mark.parametrize("convert", [lambda y: y, np.char.encode], ids=["text", "bytes"])
def test_names_are_classes_in_their_order(tmp_path, convert):
    y_train, y_test = NAMES[[1, 0, 2, 1, 0]], NAMES[[0, 0, 1]]
    path = write(tmp_path / "n.npz", y_train=convert(y_train), y_test=convert(y_test))
    data = load_data(path)
    assert data.classes == tuple(sorted(NAMES))
    assert (data.names_of(data.y_train) == y_train).all()
    assert (data.names_of(data.y_test) == y_test).all()
    assert data.y_train.dtype == np.int64
    assert data.describe()["classes"] == sorted(NAMES)
    # In an array that holds longer names, too, they are the same labels.
    wider = write(tmp_path / "w.npz", y_train=y_train.astype("U60"), y_test=y_test.astype("U60"))
    if convert(y_train).dtype.kind == "U":
        assert load_data(wider).sha256 == data.sha256
    # Other names are other data, even if their order is the same.
    renamed = np.char.replace(y_train, "dog", "ram"), np.char.replace(y_test, "dog", "ram")
    path = write(tmp_path / "r.npz", y_train=convert(renamed[0]), y_test=convert(renamed[1]))
    assert load_data(path).sha256["y_train"] != data.sha256["y_train"]


def test_integer_labels_are_as_they_were(tmp_path):
    data = load_data(write(tmp_path / "i.npz", y_train=np.array([7, -2, 7, 0, 0])))
    assert data.y_train.tolist() == [7, -2, 7, 0, 0] and data.classes is None
    column = load_data(write(tmp_path / "j.npz", y_train=np.array([[7], [-2], [7], [0], [0]])))
    assert (column.y_train == data.y_train).all()
    message = refusal(write(tmp_path / "k.npz", y_train=NAMES[[0, 1, 0, 1, 0]]))
    assert "and y_test is int64; expected integers in both, or names in both" in message
    message = refusal(write(tmp_path / "l.npz", y_train=np.arange(5) / 1.0))
    assert "y_train.astype(int)" in message


def test_objects_are_refused_with_what_to_do(tmp_path):
    objects = NAMES[[0, 1, 0, 1, 0]].astype(object)
    message = refusal(write(tmp_path / "o.npz", y_train=objects))
    assert "y_train holds Python objects, which are not unpickled" in message
    assert "names.astype(str)" in message
    np.save(tmp_path / "o.npy", np.array([{}, {}], object))
    assert "not unpickled" in refusal(tmp_path / "o.npy")


def test_sixteen_bits_are_divided_by_their_white(tmp_path):
    x = np.random.RandomState(1).randint(0, 2**16, (6, 2, 2)).astype(np.uint16)
    x[0, 0, 0] = 65535
    data = load_data(write(tmp_path / "s.npz", x_train=x[:5], x_test=x[5:], y_test=[0]))
    expected = x[:5].reshape(5, 4).astype(np.float64) / 65535
    np.testing.assert_allclose(data.x_train, expected, rtol=2e-7)  # two roundings of float32
    assert data.x_train[0, 0] == 1
    assert data.understood.endswith("divided by 65535")
    dark = load_data(
        write(tmp_path / "d.npz", x_train=x[:5] // 257, x_test=x[5:] // 257, y_test=[0])
    )
    assert "the largest value is 255: save x.astype('uint8')" in dark.understood


def test_one_image_cannot_be_split(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES[:1])
    assert "no test set and 1 image(s)" in refusal(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", IMAGES[0, 0, 0])
    assert "no test set and 0 image(s)" in refusal(tmp_path / "x.npy")


def test_arrays_of_other_names_are_told(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.arange(103))
    message = refusal(tmp_path / "a.npz")
    assert "lacks x_train; it holds images, labels; expected x_train and" in message
