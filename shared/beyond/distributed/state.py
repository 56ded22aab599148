"""Gives all workers the state from which worker 0 begins or continues a run."""

import numpy as np

from shared.run.checkpoints import LEARNING_RATE, read_checkpoint
from shared.run.schemas import MEANS
from shared.run.stopping import best_row
from shared.training.variables import copied

__all__ = ["share_state"]


def share_state(named, run, cluster, sum_over_workers):
    """Gives all workers the variables, the step and the running means of worker 0.

    The other workers may not have the run's folder. Of the history they get the best epoch, by
    which `patience` decides, and whether the run has stopped already. The bits of each number are
    summed as integers, to which the other workers contribute zeros, so no bit is lost.

    Args:
        named: {name: variable} of weights, slots and LEARNING_RATE, if it is constant; the values
            of worker 0 are assigned.
        run: shared.run.state.Run; its step, running means, history and stop are set.
        cluster: shared.beyond.distributed.cluster.Cluster.
        sum_over_workers: function of a list of int32 arrays that returns their sums.
    """
    arrays = {name: copied(variable) for name, variable in named.items()}
    if run.checkpoint:
        shapes = {name: a.shape for name, a in arrays.items() if name != LEARNING_RATE}
        arrays |= read_checkpoint(run.checkpoint, shapes).variables
    running = run.running or {**dict.fromkeys(MEANS, (0, 0)), "seconds": 0}
    numbers = [*(running[name] for name in MEANS), (running["seconds"], bool(run.running))]
    best = best_row(run.history) if run.history else {"val_loss": 0, "epoch": 0}
    numbers += [(best["val_loss"], best["epoch"])]  # float32 holds every val_loss and small integer
    stopped = run.stopped or {"epoch": 0, "by": ""}
    numbers += [(stopped["epoch"], stopped["by"] == "callback")]
    state = [arrays[name] for name in named] + [np.array(numbers, np.float32)]
    state = [each.view(np.int32) for each in map(np.ascontiguousarray, state)]
    state.append(np.array([run.step], np.int32))
    if cluster.count > 1:
        state = sum_over_workers([each * int(cluster.chief) for each in state])
    *values, numbers, (step,) = map(np.asarray, state)
    numbers, run.progress.step = numbers.view(np.float32), int(step)
    for variable, value in zip(named.values(), values, strict=True):
        variable.assign(value.view(np.float32).reshape(variable.shape))  # of a scalar, (1,)
    *means, (seconds, inside), (val_loss, best_epoch), (stop, by_callback) = numbers
    if inside:
        run.progress.running = {**dict(zip(MEANS, means, strict=True)), "seconds": seconds}
    if not cluster.chief and best_epoch:
        run.progress.history = [{"epoch": int(best_epoch), "val_loss": float(val_loss)}]
    if not cluster.chief and stop:
        by = "callback" if by_callback else "patience"
        run.progress.stopped = {"epoch": int(stop), "step": int(step), "by": by}
