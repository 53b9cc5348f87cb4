"""Our networks to NIR, to a file, and back: the same outputs, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import pytest
import torch

import spikewright as sw
from exchange.graphs import on_reference
from spikewright.compiler.exchange import export_nir, import_nir
from spikewright.engine import surrogate

DT = 1e-3


def neurons(name: str, random: torch.Generator, *shape: int) -> sw.Neuron:
    """A layer with parameters of its own for each neuron, or one for all of them."""
    size = shape if torch.rand(1, generator=random) < 0.7 else ()

    def draw(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=random)

    model: Any = getattr(sw, name)
    values: dict[str, Any] = {}
    for field in model.Params.__dataclass_fields__:
        ranges = {"tau_mem": (4e-3, 20e-3), "tau_syn": (2e-3, 9e-3), "v_leak": (-0.1, 0.1)}
        ranges |= {"v_threshold": (0.2, 0.6), "v_reset": (-0.2, 0.1), "r": (0.8, 1.5)}
        values[field] = draw(*ranges[field])
    orders = {"LIF": ("exact", "euler"), "LI": ("exact", "euler")}
    orders |= dict.fromkeys(("CubaLIF", "CubaLI"), ("exact", "held", "euler"))
    if name in orders:
        pick = int(torch.randint(len(orders[name]), (1,), generator=random))
        values["order"] = orders[name][pick]
    if name in ("IF", "LIF", "CubaLIF"):
        reset = ("to_value", "subtract", "none")[int(torch.randint(3, (1,), generator=random))]
        detached = bool(torch.rand(1, generator=random) < 0.5)
        values["firing"] = sw.Firing(reset, detach_reset=detached)
        values["surrogate"] = surrogate.Arctan(width=0.3, window=1.0)
    return model(**values)


SPIKING, SMOOTH = ("IF", "LIF", "CubaLIF", "Threshold"), ("LI", "CubaLI", "Integrator")


def pick(names: tuple[str, ...], random: torch.Generator) -> str:
    return names[int(torch.randint(len(names), (1,), generator=random))]


def vectors(seed: int) -> sw.Network:
    """A random graph of neurons, products, scales and delays, with a skip and a recurrence."""
    random = torch.Generator().manual_seed(seed)
    spiking = [neurons(pick(SPIKING, random), random, 6) for _ in range(2)]
    back = [None, sw.Delay([1e-3, 2e-3, 3e-3, 2e-3, 0.0, 6e-3]), sw.Scale(0.3)][seed % 3]
    cells = neurons(pick(SPIKING[:3], random), random, 6)
    layers = {
        "in": sw.Linear(5, 6, bias=seed % 2 == 0),
        "first": spiking[0],
        "scale": sw.Scale(torch.rand(6, generator=random) + 0.5, learnable=True),
        "delay": sw.Delay(4e-3 * torch.rand(6, generator=random), rounded=seed % 2 == 0),
        "loop": sw.Recurrent(cells, back),
        "second": spiking[1],
        "mix": sw.Linear(6, 3),
        "out": neurons(pick(SMOOTH, random), random, 3),
    }
    pairs = "input in,in first,first scale,scale delay,delay loop,in loop,loop second,loop mix"
    edges: Any = [tuple(pair.split()) for pair in f"{pairs},second mix,mix out".split(",")]
    return sw.Graph(layers, edges, dt=DT, shape=(5,))


def images(seed: int) -> sw.Network:
    """A random stack of convolutions and pools."""
    random = torch.Generator().manual_seed(seed)
    first = sw.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(1, 0), groups=2, bias=seed % 2 == 0)
    second = sw.Conv2d(4, 4, 3, padding="same", dilation=2)
    pool = [sw.SumPool2d(2), sw.AvgPool2d(2, padding=1)][seed % 2]
    shape = first.output_shape((2, 8, 8))
    layers = [first, neurons(pick(SPIKING, random), random, *shape), second]
    layers += [neurons(pick(SPIKING, random), random, *shape), pool, sw.Flatten(1, 2)]
    layers += [sw.Conv1d(4, 3, 2, stride=2, dilation=1), sw.Flatten(), sw.Linear(None, 3)]
    layers += [neurons(pick(SMOOTH, random), random, 3)]
    return sw.Sequential(*layers, dt=DT, shape=(2, 8, 8))


def again(network: sw.Network, path: Path, **options: Any) -> sw.Network:
    """The network that comes back; both then run on the reference backend."""
    sw.write_nir(on_reference(network), path, **options)
    return on_reference(sw.read_nir(path))


@pytest.mark.parametrize("make", [vectors, images])
@pytest.mark.parametrize("seed", range(6))
def test_random_networks_come_back_with_the_same_outputs(
    make: Any, seed: int, tmp_path: Path
) -> None:
    torch.manual_seed(seed)
    network = make(seed)
    if seed == 5:
        network = network.double()
    x = (torch.rand(50, 3, *network.shape) < 0.4).to(next(network.parameters()).dtype)
    back = again(network, tmp_path / "network.nir")
    y, _ = network(x)
    assert y.count_nonzero() > 20
    assert torch.equal(back(x)[0], y)
    assert torch.equal(on_reference(sw.from_nir(sw.to_nir(network)))(x)[0], y)


def test_state_dtype_dt_and_surrogate_come_back(tmp_path: Path) -> None:
    firing = sw.Firing("subtract", inclusive=True, detach_reset=False)
    cells = sw.LIF(
        order="euler", firing=firing, surrogate=surrogate.StraightThrough(width=float("inf"))
    )
    network = sw.Sequential({"w": sw.Linear(2, 3), "n": cells}, dt=7e-4).double()
    back = again(network, tmp_path / "network.nir")
    layer: Any = back.layers["n"]
    assert back.dt == 7e-4
    assert layer.firing == firing
    assert layer.surrogate == surrogate.StraightThrough(width=float("inf"))
    assert layer.options_of_step["order"] == "euler"
    assert {p.dtype for p in back.parameters()} == {torch.float64}
    assert back.state_dict().keys() == network.state_dict().keys()


def test_gradients_are_those_of_the_network_that_was_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = vectors(1)
    back = again(network, tmp_path / "network.nir")
    x = (torch.rand(40, 2, 5) < 0.4).float()
    for net in (network, back):
        net(x)[0].square().sum().backward()
    theirs = {name: p.grad for name, p in back.named_parameters()}
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter.grad, theirs[name]), name


@pytest.mark.parametrize("shape", [(4,), (3, 5), (3, 4, 5)])
def test_batch_norm_is_written_as_the_map_that_it_is(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    network = sw.Sequential(sw.BatchNorm(alpha=0.7), sw.LI(), dt=DT, shape=shape)
    network(torch.randn(30, 4, *shape) * 2 + 1)
    network.eval()
    x = torch.randn(20, 2, *shape)
    back = again(network, tmp_path / "network.nir")
    torch.testing.assert_close(back(x)[0], network(x)[0], rtol=0, atol=1e-6)
    assert export_nir(network).report.of("changed")[0].where == "0_batchnorm"


@pytest.mark.parametrize("axis", [0, 1])
def test_delays_of_synapses_are_written_where_each_input_or_output_has_one(
    axis: int, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    delays = torch.tensor([1e-3, 4e-3, 2e-3]).unsqueeze(axis)
    layer = sw.DelayedLinear(3, 3, delays, bias=axis == 0)
    network = sw.Sequential(layer, sw.LI(), dt=DT)
    x = torch.rand(20, 2, 3)
    back = again(network, tmp_path / "network.nir")
    torch.testing.assert_close(back(x)[0], network(x)[0], rtol=0, atol=1e-6)


def test_what_is_allowed_into_the_metadata_comes_back(tmp_path: Path) -> None:
    cells = sw.LIF(tau_mem=5e-3, refractory=3e-3, noise=0.5)
    counts = sw.IF(firing=sw.Firing("subtract", max_spikes=3))
    network = sw.Sequential(sw.Linear(3, 4), cells, counts, dt=DT)
    allow = ("refractory", "noise", "max_spikes")
    back = again(network, tmp_path / "network.nir", allow=allow)
    x = 20 * torch.rand(40, 2, 3)
    outputs = []
    for net in (network, back):
        torch.manual_seed(2)
        outputs.append(net(x)[0])
    assert outputs[0].any()
    assert torch.equal(*outputs)


def test_what_nir_cannot_say_is_refused_with_every_layer_named() -> None:
    layers = {
        "a": sw.Linear(3, 4), "b": sw.AdaptiveLIF(), "c": sw.LIF(refractory=2e-3),
        "d": sw.Recurrent(sw.IF(firing=sw.Firing("subtract", max_spikes=2), noise=1.0)),
        "e": sw.Fold(torch.nn.Identity()),
    }  # fmt: skip
    with pytest.raises(sw.errors.ExchangeError) as caught:
        sw.to_nir(sw.Sequential(layers, dt=DT))
    assert str(caught.value) == (
        "export_nir: layers must be ones that NIR has, got 'b': AdaptiveLIF; 'c': 'refractory'; "
        "'d': 'noise'; 'd': 'max_spikes'; 'e': Fold. Compile the network itself instead, which "
        "loses nothing; or leave what is named in quotes to the metadata with allow=(...)."
    )


def test_layers_with_hooks_and_networks_with_a_forward_of_their_own_are_refused() -> None:
    class Mine(sw.Sequential):
        def forward(self, x: Any, state: Any = None) -> Any:
            return super().forward(2 * x, state)

    network = Mine(sw.Linear(2, 2), dt=DT)
    network.layers["0_linear"].register_forward_hook(lambda *seen: None)
    with pytest.raises(sw.errors.ExchangeError) as caught:
        sw.to_nir(network)
    assert "'0_linear': Linear with a hook; Mine, which runs its layers" in str(caught.value)


def test_dropout_between_neurons_and_themselves_is_one_by_the_time_it_is_written(
    tmp_path: Path,
) -> None:
    layer = sw.Recurrent(sw.LIF(v_threshold=0.2), sw.Dropout(0.5))
    network = sw.Sequential(layer, dt=DT, shape=(3,)).eval()
    x = torch.rand(30, 2, 3)
    back = again(network, tmp_path / "network.nir")
    assert network(x)[0].any()
    assert torch.equal(back(x)[0], network(x)[0])


def test_a_neuron_of_ones_own_is_refused_even_if_it_derives_from_one_of_nirs() -> None:
    class Mine(sw.LIF):
        pass

    with pytest.raises(sw.errors.ExchangeError, match="'0_mine': Mine"):
        sw.to_nir(sw.Sequential(Mine(), dt=DT, shape=(2,)))


def test_delays_that_differ_from_synapse_to_synapse_are_refused() -> None:
    layer = sw.DelayedLinear(2, 2, [[1e-3, 2e-3], [3e-3, 1e-3]])
    with pytest.raises(
        sw.errors.ExchangeError, match="layer '0_delayedlinear': delays must be one"
    ):
        sw.to_nir(sw.Sequential(layer, dt=DT))


def test_the_report_of_a_writing_says_what_was_carried_and_lost() -> None:
    cells = sw.LIF(tau_mem=sw.learnable(5e-3), firing=sw.Firing("subtract"))
    net = sw.Sequential({"w": sw.Linear(2, 3), "drop/out": sw.Dropout(0.1), "n": cells}, dt=DT)
    assert str(export_nir(net).report).splitlines() == [
        "writing NIR: 4 carried, 2 lost, 1 changed",
        "  carried  network: dt 1 ms",
        "  lost     drop/out: Dropout, which acts only while training",
        "  changed  drop/out: written as node 'drop_out'",
        "  carried  n: order 'exact'",
        "  carried  n: reset 'subtract'",
        "  carried  n: surrogate SuperSpike",
        "  lost     n: that tau_mem is learnable",
    ]


def test_other_readers_see_the_parameters_in_nirs_own_fields(tmp_path: Path) -> None:
    tau = torch.tensor([5e-3, 6e-3])
    network = sw.Sequential({"n": sw.CubaLIF(tau_mem=tau, tau_syn=4e-3, r=2.0)}, dt=DT, shape=(2,))
    sw.write_nir(network, tmp_path / "network.nir")
    node = nir.read(tmp_path / "network.nir").nodes["n"]
    assert node.tau_mem.tolist() == tau.tolist()
    assert node.r.tolist() == [2.0, 2.0]
    assert node.w_in.tolist() == pytest.approx([4.0, 4.0])  # a spike adds one to the current


def test_reading_draws_no_random_numbers() -> None:
    graph = sw.to_nir(vectors(0))
    before = torch.get_rng_state()
    sw.from_nir(graph)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_keyword_overrides_the_metadata_and_the_report_says_so() -> None:
    network = sw.Sequential({"n": sw.LIF(order="exact")}, dt=DT, shape=(2,))
    imported = import_nir(sw.to_nir(network), order="euler", reset="subtract")
    layer: Any = imported.network.layers["n"]
    assert layer.options_of_step["order"] == "euler"
    assert layer.firing.reset == "subtract"
    assert [str(e.what) for e in imported.report.of("assumed")] == [
        "order 'euler', by keyword",
        "reset 'subtract', by keyword",
    ]


def test_at_another_time_step_a_spike_still_brings_the_charge_it_had() -> None:
    network = sw.Sequential({"n": sw.CubaLI(tau_mem=9e-3, tau_syn=5e-3)}, dt=DT, shape=(1,))
    finer = on_reference(sw.from_nir(sw.to_nir(on_reference(network)), dt=DT / 4))
    x = torch.zeros(20, 1, 1)
    x[0] = 1.0
    fine = torch.zeros(80, 1, 1)
    fine[0] = 1.0
    torch.testing.assert_close(finer(fine)[0][3::4], network(x)[0], rtol=1e-5, atol=1e-7)
