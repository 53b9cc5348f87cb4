"""MNIST: handwritten digits."""

from __future__ import annotations

from spikewright.data.images import ImageSet
from spikewright.data.store import DataFile, DataSource

# The author's own page no longer hands out the files; this mirror has their bytes.
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FILES = (
    (
        "train-images-idx3-ubyte.gz",
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)


class MNIST(ImageSet):
    """MNIST, 60000 training (the last 5000 held out by default) and 10000 test images.

    Arguments as for :class:`spikewright.data.images.ImageSet`.

    Source: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11), 1998.

    >>> data = MNIST(steps=10, dt=2e-3, flatten=False)
    >>> data.train.shape, data.train.steps, data.dt
    ((1, 28, 28), 10, 0.002)
    """

    classes = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    source = DataSource(
        name="mnist",
        title="MNIST, handwritten digits",
        licence="CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio, Haffner. Gradient-based learning applied to document "
        "recognition. Proc. IEEE 86(11), 1998",
        page="http://yann.lecun.com/exdb/mnist/",
        files=tuple(
            DataFile(f"mnist/{name}", size, MIRROR + name, sha256) for name, size, sha256 in FILES
        ),
    )
