"""Extended MNIST, balanced split: handwritten digits and letters."""

from __future__ import annotations

from pathlib import Path

from spikewright.data.idx import read_idx
from spikewright.data.images import ImageSet
from spikewright.data.split import Arrays
from spikewright.data.store import DataFile, DataSource

# The publisher hands out one archive of all splits, so each file is put in place by hand, and is
# looked into where others have a checksum. Sizes are rough.
PART = "emnist-balanced-{}-idx{}-ubyte.gz"
FILES = (
    (PART.format("train-images", 3), 22_000_000),
    (PART.format("train-labels", 1), 80_000),
    (PART.format("test-images", 3), 3_700_000),
    (PART.format("test-labels", 1), 14_000),
)


def _check(path: Path) -> None:
    read_idx(path)


class EMNIST(ImageSet):
    """EMNIST balanced, 112,800 training (the last 5000 held out by default) and 18,800 test images.

    47 classes: digits, capitals, and the small letters that look different from theirs. The files
    hold images with rows and columns exchanged; here they stand upright. Put the files of the
    archive ``gzip.zip`` of the publisher's page into ``emnist/`` of the data folder. Arguments as
    for :class:`spikewright.data.images.ImageSet`.

    Source: Cohen, Afshar, Tapson, van Schaik, arXiv:1702.05373.

    >>> len(EMNIST.classes), EMNIST(steps=10).train.steps
    (47, 10)
    """

    classes = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
    source = DataSource(
        name="emnist-balanced",
        title="EMNIST balanced, handwritten digits and letters",
        licence="none stated; cite",
        citation="Cohen, Afshar, Tapson, van Schaik. EMNIST: an extension of MNIST to handwritten "
        "letters. arXiv:1702.05373, 2017",
        page="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        files=tuple(DataFile(f"emnist/{name}", size, check=_check) for name, size in FILES),
    )

    def _read(self, image_file: DataFile, label_file: DataFile) -> Arrays:
        images, labels = super()._read(image_file, label_file)
        return images.transpose(1, 2).contiguous(), labels
