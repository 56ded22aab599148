"""The main job: both implementations on both recipes, the figures, the table and the proof.

It trains the VAE of the 2018 post with Keras' `fit` and with a `tf.GradientTape` loop, draws the
latent space and the manifold at epochs 5 and 50 and the loss of 1000 steps, continues a run of one
implementation with the other, compares every weight bit by bit, and writes one page with all this.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.machine.process import announce, end_process, set_up
from shared.machine.versions import require_packages, version_line

require_packages()  # before they are imported

from shared.command.flags import given_flags
from shared.command.line import exit_status, resume_advice
from shared.machine.backend import check_backend
from shared.machine.checks import UsageError, integer


@dataclass
class Reproduce:
    """Train both implementations on both recipes; write figures, table, proof and page."""

    data: str = "auto"
    """auto, mnist, mnist-5k, or a path, as for train; numbers need to be pixels, or in [0, 1]."""
    image_size: tuple[int, ...] | None = None
    """Resize the images of a folder: to a square of this side, or to these rows and columns."""
    epochs: tuple[int, ...] = (5, 50)
    """Epochs of post-keras whose figures are drawn; the last is the length of the run."""
    steps: int | None = 1000
    """Number of steps of post-tf; None leaves this recipe out."""
    seed: int = 0
    """Seed of all runs, and first seed of the range over seeds."""
    out: Path = Path("results")
    """Folder of the results."""
    resume: bool = False
    """Continue the interrupted job in the folder."""
    overwrite: bool = False
    """Replace the results in the folder."""
    quick: bool = False
    """A first result in a minute: the 5,000 digits of mnist-5k, 5 epochs, no post-tf, in runs/quick
    and one process, where no flag says otherwise; without the relay and the range over seeds."""
    network: str | None = None
    """Your own networks, as for train; with it, only post-keras is trained."""
    animate: bool = False
    """Train post-keras once more for latent.gif, the latent plane epoch by epoch, and for eight
    epochs on the page's slider, which otherwise has those of --epochs."""
    processes: int | None = None
    """Trainings side by side, with one thread each; if not given, as many as there are cores. It
    changes no result."""


QUICK = Reproduce(data="mnist-5k", epochs=(5,), steps=None, out=Path("runs/quick"), processes=1)
GROUPS = {
    "common": ["data", "epochs", "steps", "seed", "out", "resume", "overwrite", "quick"],
    "more": ["image_size", "network", "animate", "processes"],
}
EXAMPLES = """examples:
  python reproduce.py --quick --overwrite
  python reproduce.py --data mnist --epochs 5 50 --animate
  python reproduce.py --network examples/conv.py:networks --out results/conv"""


def main(argv=None):
    """Runs the main job; returns 0, 1 if a bit differs, 2 for bad input, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    return exit_status(lambda: _run(argv), resume_advice(["python", "reproduce.py", *argv]))


def _run(argv):
    if "--version" in argv:
        print(version_line())
        return 0
    default = QUICK if "--quick" in argv else Reproduce()
    shown = dataclasses.asdict(default)
    options = {"metavars": {"data": "DATA", "network": "FILE.py:FUNCTION"}, "end": EXAMPLES}
    given = given_flags(argv, "python reproduce.py", [Reproduce], shown, GROUPS, **options)
    return reproduce(dataclasses.replace(default, **given))


def reproduce(job):
    """Does the whole job, from checks to page, and returns the exit status."""
    from shared.command import job as work
    from shared.data import load_data
    from shared.run.folder import locked
    from shared.run.network import network_of

    if not job.epochs:
        raise UsageError("--epochs is empty; expected at least one epoch, e.g. 5 50")
    if job.processes is not None:
        integer("--processes", job.processes)
    if job.network is not None and job.animate:
        raise UsageError("--animate draws the dense network; leave it out, or leave out --network")
    network_of(job.network)
    work.configs_of(job)
    work.check_folder(job)
    check_backend("tf_vae")
    announce(f"reproduce.py: reading the data, {job.data}")
    given = work.Given(job, load_data(job.data, image_size=job.image_size))
    runs = [given.run(*place) for place in work.places_of(job)]
    relay_runs = [] if job.quick else [given.relay_run(name) for name in work.RELAY]
    with locked(job.out):
        return work.run_job(given, runs, relay_runs)


if __name__ == "__main__":
    set_up()
    end_process(main())
