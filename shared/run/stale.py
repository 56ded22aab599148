"""Removes the files of a run that further training makes stale.

They are of another number of steps than the run will have, or damaged.
"""

import shutil

from shared.machine.checks import UsageError
from shared.run import checksums
from shared.run.checkpoints import CHECKPOINT, PREVIOUS
from shared.run.folder import BEST, EXPORTED, epoch_weights, read_metrics
from shared.run.network import KEPT

__all__ = ["FINISHED", "remove_stale_files"]

# With the weights of the pictured epochs these are the files of a run whose training is finished.
FINISHED = (
    "config.json",
    "history.csv",
    "steps.csv",
    "weights.npz",
    BEST,
    "model.keras",
    CHECKPOINT,
    PREVIOUS,
    *KEPT.values(),
)
# The files that the end of a run writes, beside `figures/` and the weights of pictured epochs.
PRODUCTS = (
    "weights.npz",
    "model.keras",
    "metrics.json",
    "samples.png",
    "samples.npz",
    "samples.csv",
    "samples_best.png",
    "samples_best.npz",
    "samples_best.csv",
)


def remove_stale_files(directory, config, n, progress):
    """Removes the files that are stale once a run continues from what it has done.

    Args:
        directory: folder of the run.
        config: shared.config.Config of the run; if it has stopped, with the length at which it did.
        n: number of training examples.
        progress: shared.run.resume.Progress.
    Raises:
        UsageError: a folder has the name of such a file; nothing is removed then.
    """
    stale = _stale(directory, config, n, progress)
    for name in stale:
        if (path := directory / name).is_dir() and not path.is_symlink():
            raise UsageError(f"{path} is a folder; expected a file of the run: move it away")
    for name in stale:
        (directory / name).unlink(missing_ok=True)
    if progress.step < config.total_steps(n):
        for folder in EXPORTED:
            if not (directory / folder).is_symlink():
                shutil.rmtree(directory / folder, ignore_errors=True)


def _stale(directory, config, n, progress):
    """Returns the names of the stale files, in the order of their removal."""

    def matching(pattern):
        return [path.relative_to(directory).as_posix() for path in directory.glob(pattern)]

    names = [*matching(".*.partial"), *matching("*/.*.partial"), checksums.SUMS]
    names += checksums.damaged(directory)
    if progress.step == 0:
        names += [PREVIOUS, CHECKPOINT, "history.csv", "steps.csv", *KEPT.values()]
    elif progress.checkpoint == directory / PREVIOUS:
        names.append(CHECKPOINT)  # it is damaged, and must not replace the previous one
    if progress.step == 0 or config.patience is None:
        names.append(BEST)
    if progress.step < config.total_steps(n):
        done = [e for e in config.pictured(n) if config.end_of_epoch(e, n) <= progress.step]
        kept = [epoch_weights(epoch) for epoch in done]
        epochs = matching("weights_epoch_*.npz")
        names += [*PRODUCTS, *(name for name in epochs if name not in kept)]
        return [*names, *matching("figures/*.png")]
    try:
        read_metrics(directory)
    except UsageError:
        names.append("metrics.json")
    return names
