from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from spikewright.coding import Bernoulli, ExactLatency, Latency, SpikeTimes
from spikewright.data import MNIST, FashionMNIST
from spikewright.data.idx import read_idx
from spikewright.errors import DataError, ParameterError, ShapeError

PIXELS_MD5 = {
    ("mnist", "train"): "6bbc9ace898e44ae57da46a324031adb",
    ("mnist", "t10k"): "2646ac647ad5339dbf082846283269ea",
    ("fashion-mnist", "train"): "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    ("fashion-mnist", "t10k"): "8181f5470baa50b63fa0f6fddb340f0a",
}


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_real_images_have_the_published_checksum_and_counts(shared_data: Path, kind: type) -> None:
    data = kind(folder=shared_data)
    pixels = torch.cat([data.train.values, data.validation.values]).numpy()
    for part, array, count in (("train", pixels, 60000), ("t10k", data.test.values.numpy(), 10000)):
        head = struct.pack(">4i", 2051, count, 28, 28)
        found = hashlib.md5(head + array.tobytes()).hexdigest()
        assert found == PIXELS_MD5[data.name, part]
    assert (len(data.train), len(data.validation), len(data.test)) == (55000, 5000, 10000)
    assert len(data.classes) == 10


def test_fashion_classes_are_balanced_as_published(shared_data: Path) -> None:
    data = FashionMNIST(folder=shared_data, validation=0)
    assert torch.bincount(data.train.targets).tolist() == [6000] * 10
    assert torch.bincount(data.test.targets).tolist() == [1000] * 10


def test_reader_gives_back_what_was_packed(made_up_mnist) -> None:
    for part in ("train", "t10k"):
        images = read_idx(made_up_mnist.file(f"{part}-images-idx3-ubyte.gz"))
        assert np.array_equal(images, made_up_mnist.images[part])


def test_default_is_a_constant_current_of_the_pixel_values(made_up_mnist) -> None:
    data = MNIST(folder=made_up_mnist.folder, validation=5)
    x, y = data.train.batch(torch.tensor([24, 3]))
    assert x.shape == (25, 2, 784)
    assert x.stride(0) == 0
    for row, sample in enumerate((24, 3)):
        expected = made_up_mnist.images["train"][sample].reshape(784) / np.float32(255)
        assert np.array_equal(x[17, row].numpy(), expected)
    assert y.tolist() == made_up_mnist.labels["train"][[24, 3]].tolist()


def test_validation_is_the_end_of_the_training_images(made_up_mnist) -> None:
    data = MNIST(folder=made_up_mnist.folder, validation=5)
    assert (len(data.train), len(data.validation), len(data.test)) == (25, 5, 10)
    assert np.array_equal(data.validation.values.numpy(), made_up_mnist.images["train"][25:])


def test_limit_takes_the_first_of_each_split(made_up_mnist) -> None:
    data = MNIST(folder=made_up_mnist.folder, validation=5, limit=3)
    assert np.array_equal(data.train.values.numpy(), made_up_mnist.images["train"][:3])
    assert np.array_equal(data.validation.values.numpy(), made_up_mnist.images["train"][25:28])
    assert data.test.targets.tolist() == made_up_mnist.labels["t10k"][:3].tolist()


def test_images_keep_their_rows_when_not_flattened(made_up_mnist) -> None:
    flat = MNIST(folder=made_up_mnist.folder, validation=5)
    square = MNIST(folder=made_up_mnist.folder, validation=5, flatten=False)
    assert square.train.shape == (1, 28, 28)
    x, _ = square.train.batch([0, 7])
    assert torch.equal(x.flatten(2), flat.train.batch([0, 7])[0])


def test_encoder_brings_its_grid_and_its_random_stream(made_up_mnist) -> None:
    encoder = Bernoulli(steps=12, dt=2e-3)
    data = MNIST(encoder, folder=made_up_mnist.folder, validation=5)
    assert (data.steps, data.dt, data.test.steps) == (12, 2e-3, 12)
    first, _ = data.test.batch([1, 2], torch.Generator().manual_seed(4))
    again, _ = data.test.batch([1, 2], torch.Generator().manual_seed(4))
    other, _ = data.test.batch([1, 2], torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_asking_for_the_shape_draws_no_random_numbers(made_up_mnist) -> None:
    data = MNIST(Bernoulli(steps=3, dt=1e-3), folder=made_up_mnist.folder)
    before = torch.get_rng_state()
    assert data.train.shape == (784,)
    assert torch.equal(torch.get_rng_state(), before)


def test_encoder_that_widens_the_features_is_seen_in_the_shape(made_up_mnist) -> None:
    class Twice:
        steps, dt = 4, 1e-3

        def __call__(self, values: torch.Tensor, generator: object = None) -> torch.Tensor:
            return torch.cat([values, 1 - values], dim=1).expand(4, -1, -1)

    data = MNIST(Twice(), folder=made_up_mnist.folder, validation=5)
    assert data.train.shape == (1568,)
    assert data.train.batch([0])[0].shape == (4, 1, 1568)


def test_encoder_with_axes_in_the_wrong_order_is_refused(made_up_mnist) -> None:
    class BatchFirst:
        steps, dt = 4, 1e-3

        def __call__(self, values: torch.Tensor, generator: object = None) -> torch.Tensor:
            return values.unsqueeze(1).expand(-1, 4, -1)

    with pytest.raises(ShapeError, match=r"BatchFirst: output must begin with .* = \(4, 3\)"):
        MNIST(BatchFirst(), folder=made_up_mnist.folder, validation=5).train.batch([0, 1, 2])


def test_encoder_of_exact_times_hands_out_spike_times(made_up_mnist) -> None:
    code = ExactLatency(20, 1e-3, time_of_zero=10e-3)
    data = MNIST(code, folder=made_up_mnist.folder, validation=5, flatten=False)
    assert data.train.shape == (1, 28, 28)
    x, y = data.train.batch([24, 3])
    assert isinstance(x, SpikeTimes)
    assert (x.batch, x.shape, x.duration) == (2, (1, 28, 28), 20e-3)
    pixels = made_up_mnist.images["train"][[24, 3]].astype(np.float64)
    expected = np.where(pixels > 0, 10e-3 * (1 - pixels / 255), np.inf)
    assert np.allclose(x.first()[:, 0].numpy(), expected, rtol=0, atol=1e-9)
    assert y.tolist() == made_up_mnist.labels["train"][[24, 3]].tolist()


def test_encoder_whose_trial_is_of_another_length_is_refused(made_up_mnist) -> None:
    class Longer:
        steps, dt = 4, 1e-3

        def __call__(self, values: torch.Tensor, generator: object = None) -> SpikeTimes:
            return ExactLatency(5, 1e-3)(values)

    with pytest.raises(ShapeError, match=r"Longer: output must begin .* got \(5, 1\)"):
        MNIST(Longer(), folder=made_up_mnist.folder, validation=5).train.batch([0])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"dt": 1e-6}, "dt must be the encoder's, 1 ms, got 1 µs"),
        ({"steps": 9}, "steps must be the encoder's, 10, got 9"),
    ],
)
def test_grid_unlike_the_encoders_is_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        MNIST(Latency(steps=10, dt=1e-3), **options)


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"dt": -1.0}, {"validation": -1}, {"limit": 0}, {"steps": 2.5}]
)
def test_numbers_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ParameterError, match=f"{next(iter(options))} must be"):
        MNIST(**options)


def test_holding_out_every_image_is_refused(made_up_mnist) -> None:
    with pytest.raises(ParameterError, match="validation must be below the 30 training samples"):
        len(MNIST(folder=made_up_mnist.folder, validation=30).train)


def test_batch_of_a_split_without_samples_says_so(made_up_mnist) -> None:
    with pytest.raises(ShapeError, match="the split must hold samples, got none"):
        MNIST(folder=made_up_mnist.folder, validation=0).validation.batch([0])


def repacked(raw: bytes, edit) -> bytes:
    return gzip.compress(edit(gzip.decompress(raw)))


DAMAGE = {
    "truncated": (lambda raw: raw[:-100], "a gzip file that ends too early"),
    "no gzip": (lambda raw: b"<html>" + raw, "what gzip cannot read"),
    "flipped": (lambda raw: raw[:999] + bytes([raw[999] ^ 255]) + raw[1000:], "gzip"),
    "empty": (lambda raw: b"", "an idx head of no bytes"),
    "magic": (lambda raw: repacked(raw, lambda b: b"\0\0\x0d" + b[3:]), "head of 00000d03"),
    "head": (lambda raw: repacked(raw, lambda b: b[:9]), "an idx head cut short, of 9 bytes"),
    "short": (lambda raw: repacked(raw, lambda b: b[:-1]), r"\(30, 28, 28\) need 23536"),
    "long": (lambda raw: repacked(raw, lambda b: b + b"\0"), "23537 bytes unpacked"),
    "sides": (
        lambda raw: repacked(raw, lambda b: b[:11] + bytes([14, 0, 0, 0, 56]) + b[16:]),
        r"an array of \(30, 14, 56\)",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_image_file_is_refused_with_its_name_and_fault(made_up_mnist, damage: str) -> None:
    edit, fault = DAMAGE[damage]
    file = made_up_mnist.file("train-images-idx3-ubyte.gz")
    damaged = edit(file.read_bytes())
    file.write_bytes(damaged)
    data = MNIST(folder=made_up_mnist.folder, validation=5)
    with pytest.raises(DataError, match=fault) as caught:
        len(data.train)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == damaged
    assert len(data.test) == 10


def test_labels_that_do_not_fit_the_images_are_refused(made_up_mnist) -> None:
    file = made_up_mnist.file("t10k-labels-idx1-ubyte.gz")
    good = file.read_bytes()
    file.write_bytes(repacked(good, lambda b: b[:7] + b"\x09" + b[8:-1]))
    with pytest.raises(DataError, match=r"labels of \(9,\) beside 10 images"):
        len(MNIST(folder=made_up_mnist.folder).test)
    file.write_bytes(repacked(good, lambda b: b[:-1] + b"\x0a"))
    with pytest.raises(DataError, match="label 10 of 10 classes"):
        len(MNIST(folder=made_up_mnist.folder).test)


def test_file_given_by_path_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.gz must exist"):
        read_idx(tmp_path / "none.gz")
