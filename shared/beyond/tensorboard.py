"""Writes a run for TensorBoard: scalars per epoch, the figures, and the latents for the projector.

This needs the package tensorboard, which TensorFlow no longer installs.
"""

import importlib.util
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from shared.machine.checks import UsageError
from shared.run.files import write_atomically

__all__ = ["Board", "check_installed"]

PROJECTED = 2000  # latents; with more, the projector's t-SNE takes minutes


def check_installed(name="--tensorboard"):
    """Raises UsageError if the package tensorboard is not installed, which `name` needs."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            f"{name} needs the package tensorboard: pip install -r requirements/extras.txt"
        )


class Board:
    """Writes one run to event files for TensorBoard.

    Args:
        directory: folder for `tensorboard --logdir`; a resumed run adds to its files.
        held_out: what the images of `val_loss` are called: "test" or "validation".
    """

    def __init__(self, directory, held_out="test"):
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.directory, self.held_out = Path(directory), held_out
        self.writer = EventFileWriter(str(directory))

    def epoch(self, row):
        """Adds a row of the history; tags with one prefix are shown in one chart."""
        names = ("loss", "log_likelihood", "kl")
        scalars = {f"{name}/train": row[name] for name in names}
        scalars |= {f"{name}/{self.held_out}": row[f"val_{name}"] for name in names}
        for tag, value in scalars.items():
            self._add(row["step"], tag=tag, simple_value=value)

    def finish(self, step, figures, z_mean, labels):
        """Adds the figures and the latents, and closes the file.

        Args:
            step: number of steps of the run.
            figures: list of paths of PNG files.
            z_mean: (n, latent_dim), latent means of test images.
            labels: (n,), labels of the same images or the names of their classes, or None.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary

        for path in figures:
            png = io.BytesIO()
            picture = Image.open(path).convert("RGB")
            picture.save(png, "PNG")
            encoded = Summary.Image(
                height=picture.height,
                width=picture.width,
                colorspace=3,
                encoded_image_string=png.getvalue(),
            )
            self._add(step, tag=path.stem, image=encoded)
        self.writer.close()

        shown = np.random.RandomState(0).permutation(len(z_mean))[:PROJECTED]
        latents = "".join("\t".join(map(str, row)) + "\n" for row in z_mean[shown].tolist())
        write_atomically(self.directory / "latents.tsv", latents.encode())
        metadata = ""
        if labels is not None:
            names = "".join(f"{label}\n" for label in labels[shown])
            write_atomically(self.directory / "labels.tsv", names.encode())
            metadata = ' metadata_path: "labels.tsv"'
        config = (
            'embeddings { tensor_name: "z_mean of test images"'
            f' tensor_path: "latents.tsv"{metadata} }}\n'
        )
        write_atomically(self.directory / "projector_config.pbtxt", config.encode())

    def _add(self, step, **value):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value)])
        self.writer.add_event(Event(step=step, wall_time=time.time(), summary=summary))
