"""The images of the section that trains in the browser."""

import base64
import dataclasses
import json
import zlib

import numpy as np

from shared.config import recipe
from shared.data import load_data
from shared.show.page import trainer


def test_the_page_has_a_thousand_training_images_and_their_labels():
    data, config = load_data("mnist-5k"), recipe("post-keras", seed=7)
    packed = trainer.trainer_data(data, config)
    chosen = trainer.chosen_images(data)
    assert len(set(chosen.tolist())) == packed["count"] == 1000
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(packed["pixels"])), np.uint8)
    # Pixels are whole 255ths, so that every bit of the float32 images is kept.
    np.testing.assert_array_equal(np.float32(pixels.reshape(1000, 784) / 255), data.x_train[chosen])
    labels = np.frombuffer(base64.b64decode(packed["labels"]), "<u2")
    assert [packed["classes"][label] for label in labels] == list(map(str, data.y_train[chosen]))
    assert packed["settings"]["seed"] == 7 and packed["settings"]["batchSize"] == 100
    assert len(json.dumps(packed)) < 450_000


def test_large_images_are_fewer():
    data = load_data("mnist-5k")
    wide = np.repeat(data.x_train, 4, axis=1)  # 56 × 56
    data = dataclasses.replace(data, x_train=wide, x_test=wide[:10], image_shape=(56, 56),
                               y_test=data.y_train[:10])  # fmt: skip
    assert len(trainer.chosen_images(data)) == 784_000 // 56**2
