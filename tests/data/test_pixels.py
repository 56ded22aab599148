"""Images that stay integers: whatever is read from them has the bits of the float array."""

import numpy as np
import pytest
import tensorflow as tf
from bits import same_bits

from shared.config import recipe
from shared.data import load_data, training_images
from shared.data.pixels import Pixels, is_binary
from shared.seeds import seed_of
from tf_vae import batches

# More images than are converted at once, in parts of which one is empty.
GREY = np.random.RandomState(0).randint(0, 256, (9001, 7)).astype(np.uint8)
FLOATS = GREY.astype(np.float32) / np.float32(255)
PARTS = np.split(GREY, [1, 1, 4000, 8999])
RANDOM = np.random.RandomState(2)
ORDER = np.random.RandomState(1).permutation(len(GREY))
ROWS = {
    "all": slice(None),
    "some": slice(3990, 4010, 3),
    "none": slice(0, 0),
    "order": ORDER,
    "repeated": [8999, 0, 0, 4000, 1, 9000],
    "negative": [-1, -9001, -5],
    "mask": ORDER % 3 == 0,
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("parts", [[GREY], PARTS], ids=["one part", "several"])
def test_rows_have_the_bits_of_the_float_array(parts, rows):
    assert same_bits(Pixels(parts)[rows], FLOATS[rows])


@pytest.mark.parametrize("parts", [[GREY], PARTS], ids=["one part", "several"])
def test_the_whole_array_and_its_mean_have_the_same_bits(parts):
    x = Pixels(parts)
    assert (len(x), x.shape, x.ndim, x.dtype) == (9001, (9001, 7), 2, np.float32)
    assert same_bits(np.asarray(x), FLOATS)
    assert same_bits(x.mean(axis=0, dtype=np.float64), FLOATS.mean(axis=0, dtype=np.float64))


def test_the_mean_of_floats_in_several_parts_has_the_bits_of_one_array():
    """Float64 sums of grey levels are exact in any order; those of such numbers are not."""
    x = np.exp(RANDOM.uniform(-40, 0, (9001, 3))).astype(np.float32)
    mean = Pixels(np.split(x, [1, 5000]), white_level=1).mean(axis=0, dtype=np.float64)
    assert same_bits(mean, x.mean(axis=0, dtype=np.float64))
    assert not same_bits(mean, x[::-1].mean(axis=0, dtype=np.float64))


@pytest.mark.parametrize("rows", [9001, -9002])
def test_a_row_that_does_not_exist_is_refused(rows):
    for parts in ([GREY], PARTS):
        with pytest.raises(IndexError):
            Pixels(parts)[[0, rows]]


@pytest.mark.parametrize("binarization", ["fixed", "dynamic"])
def test_binary_pixels_are_drawn_as_from_the_float_array(binarization):
    config = recipe("nats", binarization=binarization)
    drawn = training_images(Pixels(PARTS), config, epoch=2)
    assert isinstance(drawn, Pixels) and drawn.parts[0].dtype == np.uint8
    assert same_bits(np.asarray(drawn), training_images(FLOATS, config, epoch=2))


def test_a_pixel_is_compared_with_the_bytes_of_its_own_seed():
    """Two bytes of NumPy's RandomState per pixel; its stream does not change between releases."""
    config = recipe("nats", seed=3)
    bits = np.frombuffer(
        np.random.RandomState(seed_of(3, "binarization", "train/2")).bytes(2 * GREY.size), "<u2"
    )
    drawn = training_images(FLOATS, config, epoch=2)
    np.testing.assert_array_equal(drawn, np.greater(FLOATS * 65536, bits.reshape(GREY.shape)))


@pytest.mark.parametrize("white_level", [1, 255])
def test_every_value_is_divided_by_xla_as_by_numpy(white_level):
    """XLA multiplies by the inverse of a constant, which gives other bits, so it is an argument."""
    stored = np.arange(white_level + 1, dtype=np.uint8)[:, None]
    x = Pixels([stored], white_level)

    @tf.function(jit_compile=True)
    def divided(stored, white_level):
        return tf.cast(stored, tf.float32) / white_level

    [(images, divisor)] = batches.gathered(x, [np.arange(len(x))[None]])
    assert same_bits(divided(images, divisor).numpy()[0], np.asarray(x))


def test_images_in_a_file_stay_integers(data_path):
    with np.load(data_path) as file:
        stored = file["x_train"].reshape(300, -1)
    data = load_data(str(data_path))
    assert same_bits(data.train.stored(slice(None)), stored)
    assert same_bits(data.x_train, stored.astype(np.float32) / np.float32(255))
    assert (data.n_train, data.n_test) == (300, 500)


# Images of one value each: integers up to 255 or 1, and floats, in memory and in several parts.
STORED = {"of 255": (255, np.uint8), "of 1": (1, np.uint8), "floats": (1, np.float32)}


@pytest.mark.parametrize("white_level", STORED)
def test_pixels_are_binary_if_each_is_exactly_0_or_1(white_level):
    white_level, dtype = STORED[white_level]
    binary = (np.arange(9001)[:, None] * [1, 0, 1] % 2 * white_level).astype(dtype)
    greys = [1, 254] if white_level == 255 else [0.5, np.nextafter(np.float32(1), 0)]
    for parts in ([binary], np.split(binary, [1, 1, 4000])):
        assert is_binary(Pixels(parts, white_level)) and is_binary(
            np.asarray(Pixels(parts, white_level))
        )
        for grey in greys if dtype == np.float32 or white_level == 255 else []:
            last = [*parts[:-1], parts[-1].copy()]
            last[-1][-1, -1] = grey  # the last pixel of all
            assert not is_binary(Pixels(last, white_level))
            assert not is_binary(np.asarray(Pixels(last, white_level)))


def test_pixels_are_compared_as_they_are_stored_up_to_the_first_grey_one():
    read = []

    class Stored(Pixels):
        def __getitem__(self, rows):
            raise AssertionError("integers were converted")

        def stored(self, rows):
            read.append(len(range(*rows.indices(len(self)))))
            return super().stored(rows)

    assert not is_binary(Stored(PARTS)) and sum(read) == read[0] < 9001
    read.clear()
    assert is_binary(Stored([part // 255 for part in PARTS], 1)) and sum(read) == 9001
