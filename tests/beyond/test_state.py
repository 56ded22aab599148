"""The state that worker 0 gives to the others, or to a checkpoint, is kept in every bit."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from shared.beyond.distributed.cluster import Cluster
from shared.beyond.distributed.state import share_state
from shared.run.checkpoints import LEARNING_RATE
from shared.run.schemas import MEANS
from tf_vae.beyond.workers import Steps

# Zeros of both signs, the smallest number, a NaN that holds a number, and two large numbers.
BITS = np.array([0, 2**31, 1, 0x7FC00123, 0x7F7FFFFF, 0xFF7FFFFF], np.uint32)


def shared_by(index, values, step, running, sum_over_workers):
    """What a worker has after `share_state`: the bits of its variable, its step and means."""
    variable = tf.Variable(values)
    run = SimpleNamespace(
        checkpoint=None,
        step=step,
        running=running,
        history=[],
        stopped=None,
        progress=SimpleNamespace(),
    )
    share_state({"a": variable}, run, Cluster(count=2, index=index), sum_over_workers)
    means = getattr(run.progress, "running", {})
    bits = np.array(variable).view(np.uint32).tolist()
    return bits, run.progress.step, {name: np.array(each).tolist() for name, each in means.items()}


def test_every_bit_of_worker_0_reaches_the_others():
    """The two workers are computed in turn; the engine only adds what they contribute."""
    running = {**dict.fromkeys(MEANS, (-0.0, 60.0)), "seconds": 0.5}
    workers = (BITS.view(np.float32), 8, running), (np.ones(len(BITS), np.float32), 3, {})
    given = []
    for index, worker in enumerate(workers):
        shared_by(index, *worker, lambda arrays: given.append(arrays) or arrays)
    sums = [one + other for one, other in zip(*given, strict=True)]
    for index, worker in enumerate(workers):
        bits, step, means = shared_by(index, *worker, lambda arrays: sums)
        assert (bits, step) == (BITS.tolist(), 8)
        assert means.pop("seconds") == 0.5
        assert str(means) == str({name: [-0.0, 60.0] for name in MEANS})


@pytest.mark.parametrize("by", [None, "patience", "callback"])
def test_the_others_learn_the_best_epoch_and_the_stop(by):
    """By which `patience` decides; worker 0 keeps its whole history."""
    losses = np.float32([155.1, 1e-30, 99.99])
    history = [
        {"epoch": epoch, "val_loss": float(loss)} for epoch, loss in enumerate(losses, start=1)
    ]
    stopped = by and {"epoch": 3, "step": 33, "by": by}
    chief = {"step": 33, "history": history, "stopped": stopped}
    other = {"step": 0, "history": [], "stopped": None}
    given = []

    def after(index, state, sum_over_workers):
        progress = SimpleNamespace(history=state["history"], stopped=state["stopped"])
        run = SimpleNamespace(checkpoint=None, running={}, progress=progress, **state)
        rate = tf.Variable(0.5 if index == 0 else 0.25)  # a scalar, which a callback has changed
        share_state({LEARNING_RATE: rate}, run, Cluster(count=2, index=index), sum_over_workers)
        return progress.history, progress.stopped, float(rate)

    for index, state in enumerate((chief, other)):
        after(index, state, lambda arrays: given.append(arrays) or arrays)
    sums = [one + two for one, two in zip(*given, strict=True)]
    assert after(0, chief, lambda arrays: sums) == (history, stopped, 0.5)
    assert after(1, other, lambda arrays: sums) == ([history[1]], stopped, 0.5)


@pytest.mark.parametrize("cut", [1, 20, 54])
def test_the_running_means_of_workers_do_not_depend_on_a_checkpoint(cut):
    """An epoch of 55 steps, and the same after a checkpoint, which holds float32 numbers."""
    rows = np.random.RandomState(0).uniform(90, 200, (55, len(MEANS))).astype(np.float32)
    whole, first, then = (Steps(tf.distribute.get_strategy(), None, None) for _ in range(3))
    whole._add(rows, 6)
    first._add(rows[:cut], 6)
    then.continue_from({name: np.float32(each) for name, each in first.running().items()})
    then._add(rows[cut:], 6)
    assert then.logs() == whole.logs()
