"""Training with every number rounded: the forward pass is the integer network's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from spikewright.errors import CompileError, ParameterError, ShapeError
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.inputs import encode
from spikewright.targets.fpga.quantising.faked import Faked
from spikewright.targets.fpga.quantising.fine_tune import FineTuning, Step, fine_tune
from spikewright.targets.fpga.quantising.quantised import Quantised
from spikewright.targets.fpga.quantising.settings import Quantisation, WeightQuantisation
from targets.fpga.modules import CASES, case

COARSE = Quantisation(margin_bits=12)


def outputs(made: Quantised, x: Tensor) -> Tensor:
    sums = made.network.run(encode(made.network, x))
    return (sums.double() * made.network.stages[-1].scale).float()


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("name", CASES)
def test_the_forward_pass_is_the_integer_network_bit_for_bit(name: str, bits: int) -> None:
    module, x = case(name)
    made = convert(module, x, replace(COARSE, weights=WeightQuantisation(bits), bits=bits))
    model = Faked(made)
    assert torch.equal(model(x), outputs(made, x))
    assert float(model(x).detach().std()) > 0
    torch.manual_seed(0)
    with torch.no_grad():
        for place, real in enumerate(made.weights.values()):
            model.weights[place].add_(torch.randn(real.weight.shape) * real.scale)
            model.biases[place].add_(torch.randn(real.bias.shape) * 9 * real.unit)
    model.bound()
    moved = model.quantised()
    assert torch.equal(model(x), outputs(moved, x))
    assert not torch.equal(outputs(moved, x), outputs(made, x))


def test_gradients_go_straight_through_and_stop_where_activations_saturate() -> None:
    first, second = nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[3.0], [-3.0]]))
        second.weight.copy_(torch.tensor([[1.0, 1.0]]))
    settings = Quantisation(WeightQuantisation(3, "maximum"), input_top=1.0)
    made = convert(nn.Sequential(first, nn.ReLU(), second), torch.tensor([[0.5]]), settings)
    model = Faked(made)
    x = torch.tensor([[7 / 15]])  # a level, so that there is nothing to round
    model(x).sum().backward()
    gradient = model.weights[0].grad
    assert gradient is not None
    # d out / d w = second w x, of the neuron that is in its range; the other is below 0
    torch.testing.assert_close(gradient[0, 0].item(), 7 / 15 * 1.0)
    assert gradient[1, 0].item() == 0.0
    model.zero_grad()
    model(torch.ones(1, 1)).sum().backward()  # twice what calibration saw
    gradient = model.weights[0].grad
    assert gradient is not None
    assert gradient.flatten().tolist() == [0.0, 0.0]


def rings(count: int) -> tuple[Tensor, Tensor]:
    """Points within and outside a ring, from 0 to 1."""
    x = torch.rand(count, 2, generator=torch.Generator().manual_seed(7))
    return x, ((x - 0.5).norm(dim=1) < 0.36).long()


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(1)
    x, y = rings(2000)
    net = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net, x, y


def accuracy(made: Quantised, x: Tensor, y: Tensor) -> float:
    return float((outputs(made, x).argmax(1) == y).double().mean())


def test_two_bits_hold_after_fine_tuning(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, x, y = trained
    start = float((net(x).argmax(1) == y).double().mean())
    made = convert(net, x, replace(COARSE, weights=WeightQuantisation(2)))
    seen: list[Step] = []
    tuned = fine_tune(made, x, y, FineTuning(epochs=8, learning_rate=5e-3), progress=seen.append)
    before, after = accuracy(made, x, y), accuracy(tuned, x, y)
    assert start > 0.95
    assert after > before + 0.03
    assert after > 0.9
    assert len(seen) == 8 * 32
    assert (seen[-1].epoch, seen[-1].batch, seen[-1].batches) == (8, 32, 32)
    assert [stage.requantise for stage in tuned.network.stages] == [
        stage.requantise for stage in made.network.stages
    ]


def test_the_same_seed_gives_the_same_bits(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, x, y = trained
    made = convert(net, x, COARSE)

    def run(seed: int) -> Tensor:
        tuned = fine_tune(made, x[:300], y[:300], FineTuning(epochs=1, seed=seed))
        return torch.cat([real.weight.flatten() for real in tuned.weights.values()])

    start = torch.cat([real.weight.flatten() for real in made.weights.values()])
    first = run(0)
    torch.rand(3)  # the process's own stream is no part of it
    assert torch.equal(first, run(0))
    assert not torch.equal(first, run(1))
    assert not torch.equal(first, start)
    assert torch.equal(start, torch.cat([r.weight.flatten() for r in made.weights.values()]))


def test_what_cannot_be_trained_is_refused(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, x, y = trained
    made = convert(net, x, COARSE)
    with pytest.raises(ShapeError, match="as many samples, at least one, got 10 and 9"):
        fine_tune(made, x[:10], y[:9])
    for name in ("epochs", "batch_size"):
        for wrong in (0, 1.5, 2.0, True, float("nan")):
            match = f"{name} must be whole and above 0, got {wrong}"
            with pytest.raises(ParameterError, match=match):
                FineTuning(**{name: wrong})
    for rate in (0.0, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match=f"learning_rate must be above 0, got {rate}"):
            FineTuning(learning_rate=rate)
    with pytest.raises(ParameterError, match="loss must be finite"):
        fine_tune(made, x, y, loss=lambda out, _: out.sum() * torch.inf)


def test_training_beyond_the_accumulator_is_refused_with_the_fix(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    net, x, _ = trained
    made = convert(net, x, COARSE)
    bits = max(made.network.bounds.values()).bit_length() + 1
    model = Faked(convert(net, x, replace(COARSE, accumulator_bits=bits)))
    with torch.no_grad():
        for weight in model.weights:
            weight.fill_(-100.0)
    model.bound()
    with pytest.raises(CompileError, match=f"accumulators of {bits} bits"):
        model.quantised()


def test_a_network_that_is_not_quantised_is_refused() -> None:
    x, module = torch.rand(4, 3), torch.nn.Linear(3, 2)
    with pytest.raises(ParameterError, match=r"got Linear. Pass convert\(module, inputs\)"):
        fine_tune(module, x, torch.zeros(4, dtype=torch.int64))  # pyright: ignore


def test_a_step_that_is_far_too_long_leaves_the_network_as_it_was() -> None:
    module, x = case(next(iter(CASES)))
    made = convert(module, x, COARSE)
    targets = outputs(made, x).flatten(1) + 1e-4  # almost there, but Adam does not know how near
    far = FineTuning(1, 16, 100.0)
    with pytest.warns(UserWarning, match=r"loss must fall, got .* Try learning_rate=10\."):
        kept = fine_tune(made, x, targets, far, loss=nn.functional.mse_loss)
    assert kept is made
