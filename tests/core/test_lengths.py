"""The length of a run in epochs and steps, and the epochs that are drawn."""

import pytest

from shared.config import recipe


@pytest.mark.parametrize(
    ("config", "n", "ends"),
    [
        (recipe("post-keras", epochs=2), 60000, [(1, 0, 600), (2, 600, 1200)]),
        (recipe("post-tf"), 60000, [(1, 0, 600), (2, 600, 1000)]),
        # 937.5 batches of 64: the half batch is a step too.
        (recipe("post-keras", epochs=2, batch_size=64), 60000, [(1, 0, 938), (2, 938, 1876)]),
        (recipe("post-keras", steps=5), 60000, [(1, 0, 5)]),
        (recipe("post-keras", epochs=1, batch_size=500), 40, [(1, 0, 1)]),
    ],
)
def test_epochs_end_at_the_right_step(config, n, ends):
    assert list(config.epoch_ends(n)) == ends
    assert config.total_steps(n) == ends[-1][2] and config.total_epochs(n) == ends[-1][0]
    assert list(config.epoch_ends(n, ends[0][2])) == ends[1:]


def test_pictured_epochs_include_the_last():
    assert recipe("post-keras").pictured(60000) == [5, 50]
    assert recipe("post-keras", epochs=3).pictured(60000) == [3]
    assert recipe("post-keras", epochs=7).pictured(60000) == [5, 7]
    assert recipe("post-tf").pictured(60000) == [2]


def test_the_end_of_each_epoch_is_counted_in_whole_steps():
    config = recipe("post-keras", batch_size=10, epochs=None, steps=7)  # 25 images: 3 per epoch
    assert [config.end_of_epoch(epoch, 25) for epoch in (1, 2, 3)] == [3, 6, 7]
    inside = list(config.epoch_ends(25, 4))  # resumed inside the second epoch
    assert inside == [(2, 4, 6), (3, 6, 7)]
    assert all(type(number) is int for each in inside for number in each)
