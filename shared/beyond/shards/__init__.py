"""Data that do not fit into memory: a folder with the parts of the arrays as .npy files, shards.

    x_train-00000.npy  x_train-00001.npy  …   images, uint8 (0 to 255) or float32 (0 to 1)
    y_train-00000.npy  y_train-00001.npy  …   labels; as many in each file as images in the other
    x_test-00000.npy   y_test-00000.npy   …
    x_valid-00000.npy  …                      optional, without labels
    SHA256SUMS                                optional; as `sha256sum *.npy > SHA256SUMS` writes it

`python -m shared.beyond.shards data.npz folder` makes such a folder. Training on it computes the
same bits as on the .npz.
"""

from shared.beyond.shards.reading import read_shards
from shared.beyond.shards.writing import write_shards

__all__ = ["read_shards", "write_shards"]
