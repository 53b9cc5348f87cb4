"""Fashion-MNIST: articles of clothing."""

from __future__ import annotations

from spikewright.data.images import ImageSet
from spikewright.data.store import DataFile, DataSource

PUBLISHER = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FILES = (
    (
        "train-images-idx3-ubyte.gz",
        26421880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        29515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        4422102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        5148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)


class FashionMNIST(ImageSet):
    """Fashion-MNIST, 60000 training (the last 5000 held out by default) and 10000 test images.

    Arguments as for :class:`spikewright.data.images.ImageSet`.

    Source: Xiao, Rasul, Vollgraf, arXiv:1708.07747.

    >>> data = FashionMNIST()
    >>> data.train.shape, data.train.steps, data.dt
    ((784,), 25, 0.001)
    """

    classes = (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )
    source = DataSource(
        name="fashion-mnist",
        title="Fashion-MNIST, articles of clothing",
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking "
        "machine learning algorithms. arXiv:1708.07747, 2017",
        page="https://github.com/zalandoresearch/fashion-mnist",
        files=tuple(
            DataFile(f"fashion-mnist/{name}", size, PUBLISHER + name, sha256)
            for name, size, sha256 in FILES
        ),
    )
