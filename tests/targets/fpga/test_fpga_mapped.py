"""Modules as users write them, past the plain ones: mapped to the same function, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import spikewright as sw
from spikewright.errors import CompileError
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.floats.fold_batch_norms import fold_batch_norms
from spikewright.targets.fpga.floats.from_module import from_module
from spikewright.targets.fpga.floats.network import BatchNorm
from spikewright.targets.fpga.floats.put_relu_first import put_relu_first
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.quantising.fine_tune import FineTuning, fine_tune
from spikewright.targets.fpga.quantising.reals import real_values

CLOSE: Any = {"rtol": 1e-4, "atol": 1e-4}


class Written(nn.Module):
    """A module whose forward is a function of its layers."""

    def __init__(self, forward: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.constant = nn.Buffer(torch.tensor([0.1, -0.2]).view(1, 2, 1, 1))
        self.worked = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.worked(x, self.constant, *self.layers)


def norm(kind: type[nn.BatchNorm1d] | type[nn.BatchNorm2d], channels: int) -> nn.Module:
    """Of a trained network; gains of both signs."""
    made = kind(channels)
    assert made.running_mean is not None
    assert made.running_var is not None
    nn.init.uniform_(made.running_mean, -0.3, 0.3)
    nn.init.uniform_(made.running_var, 0.05, 0.5)
    nn.init.uniform_(made.weight, -1, 1)
    nn.init.uniform_(made.bias, -1, 1)
    return made


def conv(*sizes: Any, **options: Any) -> nn.Module:
    return nn.Conv2d(*sizes, **options)


def tail(features: int) -> tuple[nn.Module, ...]:
    return nn.ReLU(), nn.Flatten(), nn.Linear(features, 3)


def torchvision_like(x: Tensor, constant: Tensor, *layers: Any) -> Tensor:
    x = (x - torch.tensor([0.4, 0.5]).view(2, 1, 1)) / torch.tensor([0.2, 0.3]).view(2, 1, 1)
    return layers[1](layers[0](x).relu().flatten(1))


IMAGES = (2, 8, 8)
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dilated": (lambda: nn.Sequential(conv(2, 3, 3, dilation=2, padding=2), *tail(192)), IMAGES),
    "dilated by rows": (
        lambda: nn.Sequential(conv(2, 4, 3, dilation=(2, 1), stride=2, groups=2), *tail(24)),
        IMAGES,
    ),
    "dilated line": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3, dilation=4, padding="same"), *tail(96)),
        (2, 32),
    ),
    "same, even": (lambda: nn.Sequential(conv(2, 3, (4, 3), padding="same"), *tail(192)), IMAGES),
    "same, even and dilated": (
        lambda: nn.Sequential(conv(2, 3, (2, 4), padding="same", dilation=3), *tail(192)),
        IMAGES,
    ),
    "ceil_mode that adds no window": (
        lambda: nn.Sequential(
            conv(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), *tail(27)[2:]
        ),
        IMAGES,
    ),
    "global maximum": (
        lambda: nn.Sequential(conv(2, 3, 3), nn.AdaptiveMaxPool2d(1), *tail(3)),
        IMAGES,
    ),
    "global maximum of a line": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.AdaptiveMaxPool1d(2), *tail(6)),
        (2, 10),
    ),
    "unflatten": (
        lambda: nn.Sequential(nn.Unflatten(1, (2, 8, 8)), conv(2, 3, 3), *tail(108)),
        (128,),
    ),
    "clamp": (
        lambda: Written(
            lambda x, _, a, b: b(a(x).clamp(min=0).flatten(1)), conv(2, 3, 3), nn.Linear(108, 3)
        ),
        IMAGES,
    ),
    "weight norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(20, 3)),
        (20,),
    ),
    "norm of the input": (
        lambda: nn.Sequential(norm(nn.BatchNorm2d, 2), conv(2, 4, 3, groups=2), *tail(144)),
        IMAGES,
    ),
    "norm behind a ReLU, before features": (
        lambda: nn.Sequential(nn.Linear(9, 8), nn.ReLU(), norm(nn.BatchNorm1d, 8), *tail(8)[2:]),
        (9,),
    ),
    "norm behind a ReLU, before pooling and flattening": (
        lambda: nn.Sequential(
            conv(2, 4, 3), nn.ReLU(), norm(nn.BatchNorm2d, 4), nn.AvgPool2d(2), *tail(36)[1:]
        ),
        IMAGES,
    ),
    "two norms in a row": (
        lambda: nn.Sequential(norm(nn.BatchNorm1d, 9), norm(nn.BatchNorm1d, 9), *tail(9)[2:]),
        (9,),
    ),
    "normalised inside": (
        lambda: Written(torchvision_like, conv(2, 3, 3), nn.Linear(108, 3)),
        IMAGES,
    ),
    "constants of both kinds": (
        lambda: Written(
            lambda x, c, a, b: 0.5 * b((a(x - c) * 2 + 1).relu().flatten(1)) / 3,
            conv(2, 3, 3),
            nn.Linear(108, 3),
        ),
        IMAGES,
    ),
    "clipped": (
        lambda: nn.Sequential(conv(2, 3, 3), nn.MaxPool2d(2), nn.Hardtanh(0, 0.3), *tail(27)[1:]),
        IMAGES,
    ),
    "clipped twice": (
        lambda: nn.Sequential(nn.Linear(9, 8), nn.ReLU(), nn.Hardtanh(0, 0.3), *tail(8)[2:]),
        (9,),
    ),
    "sum of clipped branches": (
        lambda: Written(
            lambda x, _, a, b, c: c(
                (functional.hardtanh(a(x), 0, 0.3) + functional.hardtanh(b(x), 0, 0.6)).flatten(1)
            ),
            conv(2, 3, 3),
            conv(2, 3, 3),
            nn.Linear(108, 3),
        ),
        IMAGES,
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_graph_is_the_same_function_and_its_whole_numbers_come_close(name: str) -> None:
    torch.manual_seed(sum(map(ord, name)))
    make, shape = CASES[name]
    module, x = make().eval(), torch.rand(64, *shape)
    wanted = module(x).detach()
    net = put_relu_first(fold_batch_norms(from_module(module, x)))
    assert not any(isinstance(stage.operation, BatchNorm) for stage in net.stages)
    torch.testing.assert_close(net.run(x), wanted, **CLOSE)
    program = sw.compile(
        module, "fpga", calibration=x, samples=8, quantisation={"bits": 8, "weights": {"bits": 8}}
    )
    error = (program.run(x) - wanted).abs().max()
    assert float(error) < 0.05 * float((wanted - wanted.mean(0)).abs().max())


def test_activations_end_where_a_clip_does() -> None:
    torch.manual_seed(0)
    first_layer = nn.Linear(4, 16)
    nn.init.uniform_(first_layer.weight, -20, 20)
    module = nn.Sequential(first_layer, nn.ReLU6(), nn.Linear(16, 2))
    x = torch.rand(50, 4)
    made = convert(module, x, {"bits": 4, "weights": {"bits": 4}})
    first = made.network.stages[0]
    assert math.isclose(15 * first.scale, 6.0, rel_tol=1e-9)  # not 12 or what sums reach
    values = {stage.name: value for stage, value in real_values(made, x)}
    torch.testing.assert_close(values["_0"], module[:2](x).detach().double(), **CLOSE)
    tuned = fine_tune(made, x, torch.zeros(50, dtype=torch.int64), FineTuning(epochs=1))
    assert tuned.network.stages[0].scale == first.scale


def test_a_clip_that_calibration_never_reaches_leaves_the_range_alone() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 16), nn.ReLU6(), nn.Linear(16, 2))
    x = torch.rand(50, 4)
    top = 15 * convert(module, x).network.stages[0].scale
    most = float(module[:2](x).detach().max())
    assert most <= top < 2 * most


def test_taps_between_those_of_a_dilated_kernel_stay_0_in_fine_tuning() -> None:
    torch.manual_seed(0)
    module, x = nn.Sequential(conv(1, 2, 2, dilation=2), *tail(72)), torch.rand(32, 1, 8, 8)
    made = convert(module, x, {"weights": {"bits": 6}})
    labels = torch.randint(3, (32,))
    tuned = fine_tune(made, x, labels, FineTuning(epochs=2, learning_rate=0.05))
    weight = tuned.weights["_0"].weight
    assert not torch.equal(weight, made.weights["_0"].weight)
    assert weight[:, :, 1].abs().max() == 0 == weight[:, :, :, 1].abs().max()
    q = encode(tuned.network, x)
    assert tuned.network.run(q).shape == (32, 3)


class Refused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.pool = nn.MaxPool2d(3, ceil_mode=True)
        self.up = nn.AdaptiveAvgPool2d(7)
        self.bent = nn.LeakyReLU(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).clamp(-1, 1) * torch.rand(8, 8)
        x = 1 - x
        x = x * x.relu()
        return self.bent(self.up(self.pool(x)))


def test_what_cannot_be_mapped_names_a_way_out() -> None:
    with pytest.raises(CompileError) as caught:
        from_module(Refused(), torch.rand(2, 2, 8, 8))
    text = str(caught.value)
    for said in (
        "'clamp' needs activations from -1 to 1, the target has those from 0 on. Use ReLU",
        "'mul' needs a constant of its own for each value",
        "'mul_1' needs a product of two branches",
        "'pool' needs ceil_mode or dilation of windows",
        "Leave it out and train with 3 x 3",
        "'bent' needs the operation 'leaky_relu'",
    ):
        assert said in text, text


def test_a_shift_before_padding_is_refused_with_ways_out_that_work() -> None:
    torch.manual_seed(0)
    behind, x = conv(2, 3, 3, padding=1), torch.rand(9, 2, 8, 8)
    with pytest.raises(CompileError, match=r"a shift before '_1', whose padding is 0 .* padding=0"):
        convert(nn.Sequential(norm(nn.BatchNorm2d, 2), behind), x)
    convert(nn.Sequential(norm(nn.BatchNorm2d, 2), conv(2, 3, 3)), x)
    convert(nn.Sequential(nn.BatchNorm2d(2), behind), x)  # a gain alone: 0 stays 0


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            nn.Sequential(conv(2, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU6()),
            "layer '_3' needs a clip at 6 of '_2', which is no product.* Use ReLU there",
        ),
        (
            Written(
                lambda x, _, a, b: a(x).relu().clamp(max=0.5) + functional.relu6(b(x)),
                conv(2, 3, 3),
                conv(2, 3, 3),
            ),
            "activations from None to 0.5",
        ),
        (
            Written(
                lambda x, _, a, b: a(x).clamp(0, 0.5) + functional.relu6(b(x)),
                conv(2, 3, 3),
                conv(2, 3, 3),
            ),
            "needs a clip at 6, but its scale is bound .* the same clip in all branches",
        ),
    ],
    ids=["behind pooling", "from nowhere", "two in a sum"],
)
def test_clips_that_cannot_be_the_end_of_a_range_are_refused(module: nn.Module, said: str) -> None:
    with pytest.raises(CompileError, match=said):
        convert(module, torch.rand(9, 2, 8, 8))


def test_a_shift_that_was_put_into_the_module_lets_inputs_be_0_or_more() -> None:
    """The way out that calibration names for inputs that are negative."""
    torch.manual_seed(0)
    module, pixels = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.rand(60, 4)
    with pytest.raises(CompileError, match=r"Put \(x - mean\) / std into the module"):
        convert(module, (pixels - 0.5) / 0.25)
    whole = Written(lambda x, _, inner: inner((x - 0.5) / 0.25), module)
    program = sw.compile(
        whole, "fpga", calibration=pixels, quantisation={"bits": 8, "weights": {"bits": 8}}
    )
    wanted = module((pixels - 0.5) / 0.25).detach()
    assert float((program.run(pixels) - wanted).abs().max()) < 0.05 * float(wanted.abs().max())


def test_a_division_by_0_is_refused() -> None:
    module = Written(lambda x, _, a: a(x / 0), nn.Linear(4, 2))
    with pytest.raises(CompileError, match="layer 'div' needs a division by 0"):
        from_module(module, torch.rand(2, 4))
