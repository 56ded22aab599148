"""Gives all workers the state from which worker 0 begins or continues a run."""

import numpy as np

from shared.run.checkpoints import read_checkpoint
from shared.run.schemas import MEANS

__all__ = ["share_state"]


def share_state(named, run, cluster, sum_over_workers):
    """Gives all workers the variables, the step and the running means of worker 0.

    The other workers may not have the run's folder. The bits of each number are summed as integers,
    to which the other workers contribute zeros, so no bit is lost.

    Args:
        named: {name: variable} of weights and slots; the values of worker 0 are assigned.
        run: shared.run.state.Run; its step and running means are set.
        cluster: shared.beyond.distributed.cluster.Cluster.
        sum_over_workers: function of a list of int32 arrays that returns their sums.
    """
    arrays = {name: np.array(variable) for name, variable in named.items()}
    if run.checkpoint:
        shapes = {name: array.shape for name, array in arrays.items()}
        arrays = read_checkpoint(run.checkpoint, shapes).variables
    running = run.running or {**dict.fromkeys(MEANS, (0, 0)), "seconds": 0}
    numbers = [*(running[name] for name in MEANS), (running["seconds"], bool(run.running))]
    state = [arrays[name] for name in named] + [np.array(numbers, np.float32)]
    state = [each.view(np.int32) for each in map(np.ascontiguousarray, state)]
    state.append(np.array([run.step], np.int32))
    if cluster.count > 1:
        state = sum_over_workers([each * int(cluster.chief) for each in state])
    *values, numbers, (step,) = map(np.asarray, state)
    numbers, run.progress.step = numbers.view(np.float32), int(step)
    for variable, value in zip(named.values(), values, strict=True):
        variable.assign(value.view(np.float32))
    if numbers[-1, 1]:
        means = dict(zip(MEANS, numbers[:-1], strict=True))
        run.progress.running = {**means, "seconds": numbers[-1, 0]}
