"""A device in the forward pass: its values exactly, and the software model's gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import spikewright as sw
from cases import distance
from engine.devices import FIELDS, Itself, Scripted, random_view, run_by
from engine.quadratic import QuadraticIF
from spikewright.engine.activity import Activity, noting
from spikewright.engine.forward import Observation, forward_by

STEPS, BATCH = 15, 3
LIMIT = {torch.float32: 1e-6, torch.float64: 1e-12}
"""Of the whole gradient: sums in another order leave more of the small float32 ones."""
Build = Callable[[str], list[sw.Layer]]
times = {"tau_mem": sw.learnable(8e-3), "v_threshold": sw.learnable(0.3)}


def neurons(model: type[sw.Neuron], backend: str, **options: object) -> sw.Neuron:
    return model(backend=backend, surrogate=sw.surrogate.FastSigmoid(), **times, **options)  # type: ignore[arg-type]


def stack(model: type[sw.Neuron], synapses: int = 1, **options: object) -> Build:
    def build(b: str) -> list[sw.Layer]:
        first, last = neurons(model, b, **options), sw.LI(tau_mem=sw.learnable(9e-3), backend=b)
        return [sw.Linear(6, 8 * synapses), first, sw.Linear(8, 3), last]

    return build


def images(b: str) -> list[sw.Layer]:
    cells = neurons(sw.LIF, b), neurons(sw.CubaLIF, b)
    conv = [sw.Conv2d(1, 2, 3), cells[0], sw.Conv2d(2, 2, 2), cells[1]]
    return [*conv, sw.Flatten(), sw.Linear(18, 2), sw.CubaLI(backend=b)]


through = sw.Firing("subtract", detach_reset=False)
NETS: dict[str, Build] = {
    "LIF": stack(sw.LIF),
    "LIF, reset through": stack(sw.LIF, firing=sw.Firing(detach_reset=False)),
    "CubaLIF exact": stack(sw.CubaLIF, order="exact"),
    "CubaLIF held": stack(sw.CubaLIF, order="held", firing=through),
    "CubaLIF euler": stack(sw.CubaLIF, order="euler"),
    "AdaptiveLIF": stack(sw.AdaptiveLIF, tau_adapt=sw.learnable(50e-3), firing=through),
    "refractory": stack(sw.CubaLIF, refractory=2e-3),
    "several spikes": stack(sw.LIF, firing=sw.Firing("subtract", max_spikes=3)),
    "two synapses": stack(sw.MultiSynapseLIF, synapses=2),
    "of a user": lambda b: [
        sw.Linear(6, 8),
        neurons(QuadraticIF, b, beta=sw.learnable(0.2)),
        sw.Linear(8, 3),
        sw.LI(backend=b),
    ],
    "recurrent": lambda b: [
        sw.Linear(6, 8),
        sw.Recurrent(neurons(sw.CubaLIF, b, tau_syn=4e-3)),
        sw.Linear(8, 3),
        sw.CubaLI(backend=b),
    ],
    "convolutions": images,
}


def network(name: str, dtype: torch.dtype, backend: str = "reference") -> sw.Network:
    """With weights that are multiples of 1/64, so that sums of spikes are exact in any order."""
    torch.manual_seed(1)
    net = sw.Sequential(*NETS[name](backend), dt=1e-3, shape=_shape(name)).to(dtype)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.copy_((3 * 64 * parameter).round() / 64)
    return net


def _shape(name: str) -> tuple[int, ...]:
    return (1, 6, 6) if name == "convolutions" else (6,)


def drive(name: str, dtype: torch.dtype) -> Tensor:
    random = torch.Generator().manual_seed(2)
    shape = (STEPS, BATCH, *_shape(name))
    return (torch.rand(shape, generator=random) < 0.5).to(dtype)


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert bool(value.any()), f"{name} has no gradient to compare"
        if value.dtype is torch.float64:
            assert distance(found[name], value) < LIMIT[value.dtype], name
    one, other = (torch.cat([g[n].flatten() for n in expected]) for g in (found, expected))
    assert distance(one, other) < LIMIT[other.dtype]


# -- a device equal to the model -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETS)
def test_a_device_equal_to_the_model_gives_plain_backpropagation(
    name: str, dtype: torch.dtype
) -> None:
    net, x = network(name, dtype), drive(name, dtype)
    plain, expected = run_by(None, net, x)
    run, found = run_by(Itself(), net, x)
    assert torch.equal(run.output, plain.output)
    fired = [traces["spikes"] for traces in plain.records.values() if "spikes" in traces]
    assert all(0.01 < float(spikes.detach().mean()) < 1.5 for spikes in fired)
    assert_same_gradients(found, expected)


@pytest.mark.parametrize("fields", [("spikes",), ("v",), ("output",), ("spikes", "output")])
def test_what_is_not_observed_is_the_models_own(fields: tuple[str, ...]) -> None:
    net, x = network("recurrent", torch.float64), drive("recurrent", torch.float64)
    _, expected = run_by(None, net, x)
    assert_same_gradients(run_by(Itself(fields), net, x)[1], expected)


def test_a_layer_that_was_not_observed_runs_in_software() -> None:
    net, x = network("LIF", torch.float64), drive("LIF", torch.float64)
    plain, expected = run_by(None, net, x)
    for blind in (("1_lif",), ("3_li",), ("1_lif", "3_li")):
        run, found = run_by(Itself(blind=blind), net, x)
        assert torch.equal(run.output, plain.output)
        assert_same_gradients(found, expected)


@pytest.mark.parametrize("name", ["CubaLIF exact", "refractory", "recurrent"])
def test_compiled_kernels_do_the_same_as_the_eager_loop(name: str) -> None:
    """With a device equal to the model, and with one that has nothing to do with it."""
    x = drive(name, torch.float32)
    kernels, eager = (network(name, torch.float32, b) for b in ("cpu", "reference"))
    for shows in (Itself().observe(eager, x), random_view(eager, x)):
        run, found = run_by(Scripted(shows), kernels, x)
        reference, expected = run_by(Scripted(shows), eager, x)
        assert torch.equal(run.output, reference.output)
        for layer, traces in reference.records.items():
            assert torch.equal(run.records[layer]["v"], traces["v"])
        assert_same_gradients(found, expected)


@pytest.mark.parametrize("name", ["refractory", "recurrent"])
def test_kernels_for_a_gpu_do_the_same_as_the_eager_loop(name: str, device: torch.device) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    x = drive(name, torch.float32)
    eager, kernels = (network(name, torch.float32, b) for b in ("reference", "gpu"))
    shows = Scripted(random_view(eager, x))
    reference, expected = run_by(shows, eager, x)
    run, found = run_by(shows, kernels.to(device), x.to(device))
    assert torch.equal(run.output.cpu(), reference.output)
    for layer, traces in reference.records.items():
        assert torch.equal(run.records[layer]["v"].cpu(), traces["v"])
    assert_same_gradients({n: g.cpu() for n, g in found.items()}, expected)


# -- a device unlike the model ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_the_forward_pass_is_the_devices_exactly(name: str) -> None:
    net, x = network(name, torch.float64), drive(name, torch.float64)
    shows = random_view(net, x)
    run, gradients = run_by(Scripted(shows), net, x)
    for layer, observation in shows.items():
        records, v = run.records[layer], observation.v
        assert v is not None
        seen = ~v.isnan()
        assert 0.5 < float(seen.double().mean()) < 0.7
        assert torch.equal(records["v"][seen], v[seen])
        assert bool(records["v"].isfinite().all())
        if observation.spikes is not None:
            assert torch.equal(records["spikes"], observation.spikes)
    last = shows[next(reversed(net.layers))].output
    assert last is not None
    assert torch.equal(run.output, last)
    assert all(bool(g.isfinite().all()) for g in gradients.values())


def test_infinite_values_of_a_device_do_not_spoil_the_gradient() -> None:
    net, x = network("LIF", torch.float64), drive("LIF", torch.float64)
    shows = random_view(net, x)
    output = shows["3_li"].output
    assert output is not None
    output[3, 0, 0] = torch.inf
    with forward_by(Scripted(shows)):
        made = net(x)[0]
    assert torch.equal(made, output)
    made.sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name


def test_resets_follow_the_spikes_of_the_device() -> None:
    """A membrane that was not recorded, by hand: decay, input, reset where the device fired."""
    cells = sw.LIF(tau_mem=10e-3, v_reset=-0.5, backend="reference")
    net = sw.Sequential(cells, dt=1e-3, shape=(1,))
    x, fired = torch.rand(12, 1, 1), (torch.arange(12) % 4 == 2).float().view(12, 1, 1)
    with forward_by(Scripted({"0_lif": Observation(spikes=fired)})):
        traces = net.run(x, record=("v",)).records["0_lif"]
    v, decay = 0.0, float(torch.exp(torch.tensor(-0.1, dtype=torch.float64)))
    for t in range(12):
        v = -0.5 if fired[t] else decay * v + (1 - decay) * float(x[t])
        assert abs(float(traces["v"][t]) - v) < 1e-6


def test_a_spike_that_the_model_forbids_is_kept_and_starts_the_refractory_period() -> None:
    cells = sw.LIF(tau_mem=5e-3, refractory=3e-3, backend="reference")
    net = sw.Sequential(cells, dt=1e-3, shape=(1,))
    fired = torch.tensor([0.0, 1, 1, 0, 0, 0, 0, 0]).view(8, 1, 1)
    with forward_by(Scripted({"0_lif": Observation(spikes=fired)})):
        run = net.run(torch.full((8, 1, 1), 0.5), record=("v",))
    assert torch.equal(run.output, fired)
    # Held for the three steps after the second spike, then charging again.
    held = (run.records["0_lif"]["v"].flatten() == 0).tolist()
    assert held == [False, True, True, True, True, True, False, False]


def test_adaptation_follows_the_spikes_of_the_device() -> None:
    cells = sw.AdaptiveLIF(tau_adapt=10e-3, backend="reference")
    net = sw.Sequential(cells, dt=1e-3, shape=(1,))
    fired = (torch.arange(9) % 3 == 0).double().view(9, 1, 1)
    with forward_by(Scripted({"0_adaptivelif": Observation(spikes=fired)})):
        traces = net.run(torch.zeros(9, 1, 1), record=("a",)).records["0_adaptivelif"]
    a, decay = 0.0, float(torch.exp(torch.tensor(-0.1, dtype=torch.float64)))
    for t in range(9):
        a = decay * a + float(fired[t])
        assert abs(float(traces["a"][t]) - a) < 1e-6


def test_a_recurrent_layer_feeds_back_the_spikes_of_the_device() -> None:
    """They are known beforehand, so the recurrence is also a product in front of plain neurons."""
    random = torch.Generator().manual_seed(4)
    x = torch.rand(STEPS, BATCH, 5, generator=random, dtype=torch.float64)
    fired = (torch.rand(STEPS, BATCH, 5, generator=random) < 0.3).double()
    cells = [sw.CubaLIF(tau_mem=8e-3, backend="reference") for _ in range(2)]
    looped = sw.Sequential(sw.Recurrent(cells[0]), dt=1e-3, shape=(5,)).double()
    plain = sw.Sequential(cells[1], dt=1e-3, shape=(5,)).double()
    weight = next(p for n, p in looped.named_parameters() if n.endswith("connection.weight"))
    before = torch.cat([torch.zeros_like(fired[:1]), fired[:-1]])
    with forward_by(Scripted({"0_recurrent": Observation(spikes=fired)})):
        found = looped.run(x, record=("v",)).records["0_recurrent"]["v"]
    with forward_by(Scripted({"0_cubalif": Observation(spikes=fired)})):
        expected = plain.run(x + before @ weight.T, record=("v",)).records["0_cubalif"]["v"]
    assert float((found - expected).detach().abs().max()) < 1e-12


# -- how it runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"memory": "checkpoint"}, {"memory": "full"}])
def test_long_sequences_in_parts_are_observed_once_and_are_the_same(
    options: dict[str, str],
) -> None:
    net, x = network("recurrent", torch.float64), drive("recurrent", torch.float64).repeat(4, 1, 1)
    device = Itself()
    plain, expected = run_by(None, net, x)
    run, found = run_by(device, net, x, **options)
    assert device.calls == 1
    assert torch.equal(run.output, plain.output)
    assert_same_gradients(found, expected)


@pytest.mark.parametrize("memory", ["full", "checkpoint"])
def test_a_gradient_cut_in_time_is_cut_in_the_loop_as_well(memory: str) -> None:
    net, x = network("LIF", torch.float64), drive("LIF", torch.float64)
    _, whole = run_by(None, net, x)
    _, expected = run_by(None, net, x, truncate=4)
    _, found = run_by(Itself(), net, x, memory=memory, truncate=4)
    assert distance(expected["x"], whole["x"]) > 1e-3
    assert_same_gradients(found, expected)


def test_a_surrogate_with_a_window_stays_sparse_and_exact() -> None:
    torch.manual_seed(1)
    triangle = sw.surrogate.Triangular(window=0.2)
    net, eager = (
        sw.Sequential(sw.LIF(tau_mem=8e-3, surrogate=triangle, backend=b), sw.Linear(6, 3), dt=1e-3)
        for b in ("cpu", "reference")
    )
    eager.build((6,))
    net.build((6,))
    net.load_state_dict(eager.state_dict())
    x = drive("LIF", torch.float32) * 3
    with noting(activity := Activity()):
        found = run_by(Scripted(Itself().observe(eager, x)), net, x)[1]
    assert 0.01 < activity.shares()["0_lif"] < 0.9
    assert_same_gradients(found, run_by(None, eager, x)[1])


def test_weights_changed_in_place_are_seen_by_the_next_batch() -> None:
    net, x = network("LIF", torch.float64), drive("LIF", torch.float64)

    def clip(network: sw.Network, x: Tensor) -> dict[str, Observation]:
        """Brings weights to those it can hold, as a device with few bits does."""
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.clamp_(-0.5, 0.5)
        return dict(Itself().observe(network, x))

    _, before = run_by(Itself(), net, x)
    _, found = run_by(Scripted(clip), net, x)
    _, expected = run_by(None, net, x)
    assert float(max(p.detach().max() for p in net.parameters())) == 0.5
    assert distance(found["x"], before["x"]) > 1e-3
    assert_same_gradients(found, expected)


def test_the_network_is_the_same_with_a_program_and_without() -> None:
    net, x = network("AdaptiveLIF", torch.float32), drive("AdaptiveLIF", torch.float32)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with forward_by(Itself()):
        net(x)
    after = net.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_none_and_what_follows_the_block_are_software() -> None:
    net, x = network("LIF", torch.float64), drive("LIF", torch.float64)
    shows = Scripted(random_view(net, x))
    plain = net(x)[0]
    with forward_by(shows):
        with forward_by(None):
            assert torch.equal(net(x)[0], plain)
        assert not torch.equal(net(x)[0], plain)
    assert torch.equal(net(x)[0], plain)


def test_noise_of_observed_neurons_is_off_and_others_keep_theirs() -> None:
    def build(noise: float) -> sw.Network:
        torch.manual_seed(1)
        cells = [sw.LIF(tau_mem=8e-3, noise=noise, backend="reference") for _ in range(2)]
        return sw.Sequential(sw.Linear(6, 8), cells[0], sw.Linear(8, 3), cells[1], dt=1e-3).double()

    x = drive("LIF", torch.float64)
    noisy, quiet = build(3.0), build(0.0)
    spikes = random_view(quiet, x)["1_lif"].spikes
    device = Scripted({"1_lif": Observation(spikes=spikes)})
    torch.manual_seed(0)
    (run, _), (still, _) = (run_by(device, net, x) for net in (noisy, quiet))
    assert torch.equal(run.records["1_lif"]["v"], still.records["1_lif"]["v"])
    assert not torch.equal(run.records["3_lif"]["v"], still.records["3_lif"]["v"])
    assert int(run.state["1_lif"].clock[0]) == STEPS


def test_what_was_made_in_inference_mode_or_as_counts_can_be_trained_on() -> None:
    net, x = network("LIF", torch.float64), drive("LIF", torch.float64)

    def show(network: sw.Network, x: Tensor) -> dict[str, Observation]:
        with torch.inference_mode():
            seen = Itself().observe(network, x)
            spikes = seen["1_lif"].spikes
            assert spikes is not None
            return {**seen, "1_lif": seen["1_lif"]._replace(spikes=spikes.bool())}

    _, expected = run_by(None, net, x)
    assert_same_gradients(run_by(Scripted(show), net, x)[1], expected)


def test_fields_name_what_an_observation_holds() -> None:
    observation = Observation(v=torch.arange(5.0))
    assert tuple(Observation._fields) == FIELDS
    assert list(observation.known()) == ["v"]
    part = observation.part(1, 3).v
    assert part is not None
    assert part.tolist() == [1.0, 2.0, 3.0]
