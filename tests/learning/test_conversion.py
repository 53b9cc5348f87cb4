"""Conversion: a ReLU network's activations as rates."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from learning.proxy_tasks import conv, dense, images
from spikewright.errors import NetworkError, ParameterError, ShapeError
from spikewright.learning import Twin, accuracy_over_time, as_torch, convert


class Pixels(sw.data.Split):
    def _encode(self, index: Tensor, generator: Any) -> Tensor:
        return self.values[index].expand(self.steps, -1, *[-1] * (self.values.ndim - 1))


def split_of(x: Tensor, y: Tensor, steps: int = 8) -> Pixels:
    return Pixels(lambda: (x, y), steps, tuple(x.shape[1:]))


def spiking(*given: Any, **options: Any) -> sw.Network:
    """A converted network that needs no kernels compiled."""
    net = convert(*given, **options)
    for layer in net.layers.values():
        if hasattr(layer, "path"):
            layer.path = "dense"
        if isinstance(layer, sw.IF):
            layer.backend = "reference"
    return net


def image_net(norm: bool = True) -> nn.Sequential:
    """Convolution, batch norm with statistics of its own, pooling behind and before a ReLU."""
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6) if norm else nn.Identity(),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), nn.Dropout(0.5)),
        nn.Flatten(),
        nn.Linear(32, 16),
        nn.ReLU(),
        nn.Linear(16, 4),
    ).double()
    with torch.no_grad():
        for _ in range(20):
            net(torch.rand(50, 1, 8, 8, dtype=torch.float64))
    return net.eval()


def pixels(samples: int = 60) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(samples, 1, 8, 8, generator=generator, dtype=torch.float64)


def test_rates_tend_to_the_activations_as_steps_grow() -> None:
    ann, x = image_net(), pixels()
    net = spiking(ann, x, percentile=100.0)
    y = ann(x).relu().detach()
    scale = float(y.max())
    missed = []
    for steps in (8, 32, 128, 512):
        with torch.no_grad():
            rates = net(x.expand(steps, *x.shape))[0].mean(0) * scale
        missed.append(float((rates - y).abs().mean()) / scale)
    assert all(later < 0.5 * sooner for sooner, later in pairwise(missed))
    assert missed[-1] < 5e-3


def test_accuracy_over_time_tends_to_that_of_the_relu_network() -> None:
    ann, x = image_net(), pixels()
    with torch.no_grad():  # outputs of equal mean, so that classes differ
        ann[-1].bias -= ann(x).mean(0) - 1.0
    y = ann(x).argmax(-1)
    found = accuracy_over_time(spiking(ann, x), split_of(x, y), (1, 4, 16, 64, 256))
    assert found.accuracy[-1] > 0.9
    assert found.accuracy[-1] > found.accuracy[1] + 0.1
    assert str(found).splitlines()[0] == "steps  accuracy    ties"


def test_a_shift_of_half_a_threshold_makes_counts_round_to_the_nearest() -> None:
    ann = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.ones_(ann[0].weight)
    x = torch.linspace(0.001, 1.0, 300)[:, None]
    steps = 10
    plain, shifted = (
        spiking(ann, x, percentile=100.0, shift_over=over)(x.expand(steps, *x.shape))[0].sum(0)
        for over in (None, steps)
    )
    exact = steps * x
    assert float((plain - exact).abs().max().detach()) > 0.95
    assert float((shifted - exact).abs().max().detach()) <= 0.5 + 1e-4
    assert bool((plain <= exact + 1e-4).all())


def test_spike_max_pooling_lets_pass_more_than_the_largest_rate() -> None:
    """Any spike of a window passes: the rate lies between the largest and the sum of all."""
    ann = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(1, 1, bias=False))  # fmt: skip
    nn.init.ones_(ann[0].weight)
    nn.init.ones_(ann[4].weight)
    x = torch.tensor([[[[0.4, 0.25], [0.0, 1.0]]], [[[0.4, 0.25], [0.0, 0.0]]]])
    net = spiking(ann, x, percentile=100.0)
    with torch.no_grad():
        rates = net(x.expand(400, *x.shape))[0].mean(0)[:, 0]
    assert float(rates[0]) == pytest.approx(1.0, abs=0.02)
    assert 0.45 < float(rates[1]) <= 0.66


def test_max_pooling_of_rates_tends_to_the_relu_network() -> None:
    torch.manual_seed(2)
    ann = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                        nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(5, 3)).double()  # fmt: skip
    x = pixels(20)
    y = ann(x).relu().detach()
    missed: dict[str, list[float]] = {}
    for how in ("spikes", "rates"):
        net = spiking(ann, x, percentile=100.0, max_pool=how)
        for steps in (32, 128, 512):
            with torch.no_grad():
                rates = net(x.expand(steps, *x.shape))[0].mean(0) * y.max()
            missed.setdefault(how, []).append(float((rates - y).abs().mean() / y.max()))
    assert all(later < 0.5 * sooner for sooner, later in pairwise(missed["rates"]))
    assert missed["rates"][-1] < 0.01
    assert missed["spikes"][-1] > 3 * missed["rates"][-1], missed
    assert missed["spikes"][-1] > 0.8 * missed["spikes"][-2]


def test_another_word_for_max_pooling_is_refused() -> None:
    with pytest.raises(ParameterError, match="max_pool must be one of spikes, rates, got 'rate'"):
        convert(image_net(), pixels(), max_pool="rate")  # pyright: ignore[reportArgumentType]


def test_weights_and_biases_are_balanced_by_hand() -> None:
    ann = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        ann[0].weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
        ann[0].bias.copy_(torch.tensor([0.0, -1.0]))
        ann[2].weight.copy_(torch.tensor([[1.0, 3.0]]))
        ann[2].bias.fill_(0.5)
    x = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    net = convert(ann, x, percentile=100.0)  # activations reach 4, outputs 2 + 3 + 0.5 = 5.5
    layers: Any = net.layers
    assert layers["0"].weight.tolist() == [[1.0, 0.0], [0.0, 0.5]]
    assert layers["0"].bias.tolist() == [0.0, -0.25]
    assert layers["2"].weight[0].tolist() == pytest.approx([4 / 5.5, 12 / 5.5])
    assert layers["2"].bias.tolist() == pytest.approx([0.5 / 5.5])
    assert [*layers] == ["0", "1", "2", "output"]
    assert layers["output"].firing.reset == "subtract"


def outputs_agree(ann: nn.Sequential, x: Tensor, net: sw.Network) -> bool:
    with torch.no_grad():
        y, rates = ann(x).relu(), net(x.expand(1000, *x.shape))[0].mean(0)
    return torch.allclose(rates * (y.max() / rates.max()), y, atol=0.01 * float(y.max()))


def test_a_relu_that_is_used_twice_acts_twice() -> None:
    torch.manual_seed(2)
    relu = nn.ReLU()
    ann = nn.Sequential(nn.Linear(4, 9), relu, nn.Linear(9, 9), relu, nn.Linear(9, 2)).double()
    x = torch.rand(30, 4, dtype=torch.float64)
    net = spiking(ann, x, percentile=100.0)
    assert [*net.layers] == ["0", "1", "2", "3", "4", "output"]
    assert outputs_agree(ann, x, net)


def test_a_product_may_be_named_output() -> None:
    torch.manual_seed(0)
    ann = nn.Sequential()
    ann.add_module("fc", nn.Linear(4, 9))
    ann.add_module("act", nn.ReLU())
    ann.add_module("output", nn.Linear(9, 2))
    x = torch.rand(30, 4, dtype=torch.float64)
    net = spiking(ann.double(), x, percentile=100.0)
    assert [*net.layers] == ["fc", "act", "output", "output_neurons"]
    assert outputs_agree(ann, x, net)


def test_layers_that_would_get_one_name_are_refused() -> None:
    inner = nn.Sequential()
    inner.add_module("b", nn.Linear(4, 4))
    ann = nn.Sequential()
    ann.add_module("a_b", nn.Linear(4, 4))
    ann.add_module("a", inner)
    with pytest.raises(NetworkError, match=r"layer 'a_b' must be .*another layer has this name"):
        convert(ann, torch.rand(5, 4))


def test_calibration_must_fit_and_be_finite() -> None:
    ann, x = nn.Sequential(nn.Linear(4, 2)), torch.rand(5, 4)
    with pytest.raises(ShapeError, match=r"convert: x must fit layer '0', got \(5, 3\) there"):
        convert(ann, x[:, :3])
    x[0, 0] = torch.nan
    with pytest.raises(NetworkError, match="must have finite, positive activations"):
        convert(ann, x)


def test_a_percentile_leaves_the_largest_activations_to_saturate() -> None:
    ann = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.ones_(ann[0].weight)
    x = torch.cat([torch.linspace(0.0, 1.0, 999), torch.tensor([50.0])])[:, None]
    robust, largest = (convert(ann, x, percentile=p) for p in (99.0, 100.0))
    weights = [float(net.layers["0"].weight.detach()) for net in (robust, largest)]
    assert weights[0] == pytest.approx(1.0, abs=0.03)
    assert weights[1] == pytest.approx(1 / 50)


def test_a_trained_network_of_if_becomes_its_twin_in_torch() -> None:
    net = conv(dropout=0.3)
    twin = Twin(net)
    for seed in range(5):
        twin(images(seed).x[0])
    net.eval()
    x = images(7).x[0]
    ann = as_torch(net, twin.statistics)
    assert torch.allclose(ann(x), twin(x), atol=1e-12)
    found = spiking(net, x, statistics=twin.statistics)
    assert [*found.layers] == [
        "0_conv2d", "2_if", "3_maxpool2d", "4_flatten", "6_linear", "output",
    ]  # fmt: skip
    weights = [parameter.clone() for parameter in net.parameters()]
    found(x.expand(4, *x.shape))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), weights, strict=True))


def test_thresholds_and_gains_go_into_the_torch_weights() -> None:
    net = dense(v_threshold=2.0, r=0.5)
    x = torch.rand(9, 6, dtype=torch.float64)
    assert torch.allclose(as_torch(net)(x), Twin(net)(x), atol=1e-14)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ((nn.Linear(4, 4), nn.Sigmoid()), r"layer '1' must be .* got Sigmoid: rates of IF"),
        ((nn.Linear(4, 4), nn.LeakyReLU()), r"layer '1' .* LeakyReLU"),
        ((nn.BatchNorm1d(4), nn.Linear(4, 2)), r"layer '0' .* BatchNorm1d: it needs running"),
        ((nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)), r"layer '2' .* BatchNorm1d"),
        ((nn.ReLU(), nn.Linear(4, 2)), r"layer '0' .* ReLU: it needs a product"),
        ((nn.Linear(4, 4), nn.ReLU(), nn.Flatten()), r"layer '2' .* Flatten: the end must be"),
        ((nn.Sequential(nn.Linear(4, 4), nn.GRU(4, 4)),), r"layer '0_1' .* GRU"),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(modules: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        convert(nn.Sequential(*modules), torch.rand(8, 4))


def test_pooling_of_currents_and_other_shapes_are_refused() -> None:
    late = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten())
    with pytest.raises(NetworkError, match=r"layer '1' .* MaxPool2d: currents of one step"):
        convert(late, pixels().float())
    with pytest.raises(NetworkError, match=r"layer 'model' .* Linear: it must be a torch.nn.Seq"):
        convert(nn.Linear(3, 3), torch.rand(4, 3))
    graph = {"a": sw.Linear(3, 3), "b": sw.IF()}
    joined = sw.Graph(graph, [("input", "a"), ("a", "b"), ("input", "b")], dt=1e-3, shape=(3,))
    with pytest.raises(NetworkError, match=r"layer 'b': layers must follow one another"):
        convert(joined, torch.rand(4, 3))
    with pytest.raises(NetworkError, match=r"layer '1_lif': the rate of LIF"):
        convert(sw.Sequential(sw.Linear(3, 3), sw.LIF(), dt=1e-3), torch.rand(4, 3))


def test_a_silent_layer_and_wrong_options_are_refused() -> None:
    dead = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    nn.init.zeros_(dead[0].weight)
    nn.init.constant_(dead[0].bias, -1.0)
    with pytest.raises(NetworkError, match=r"layer '1' must have finite, positive activations"):
        convert(dead, torch.rand(4, 3))
    with pytest.raises(ParameterError, match=r"convert: percentile must be above 0"):
        convert(dead, torch.rand(4, 3), percentile=0.0)
    with pytest.raises(ParameterError, match="got '99'"):
        convert(dead, torch.rand(4, 3), percentile="99")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match=r"convert: shift_over must be a number of steps"):
        convert(dead, torch.rand(4, 3), shift_over=0)


def test_accuracy_over_time_equals_runs_of_each_length() -> None:
    net, x = dense(), torch.rand(20, 6, dtype=torch.float64)
    y = torch.arange(20) % 3
    found = accuracy_over_time(net, split_of(x, y, 5), (1, 3, 12), batch_size=7)
    for steps, right in zip(found.steps, found.accuracy, strict=True):
        with torch.no_grad():
            output, state = net(x.expand(steps, *x.shape))
        order = output.sum(0) + 1e-3 * state["3_if"].v  # soft reset: |v| stays small
        assert right == float((order.argmax(-1) == y).double().mean())
    with pytest.raises(ParameterError, match=r"steps must be positive and rising"):
        accuracy_over_time(net, split_of(x, y), (4, 2))
    moving = Pixels(lambda: (x, y), 5, (6,))
    moving._encode = lambda index, generator: torch.rand(5, len(index), 6).double()  # type: ignore[method-assign]
    with pytest.raises(ShapeError, match=r"input that varies in time must have 12 steps, got 5"):
        accuracy_over_time(net, moving, (12,))
