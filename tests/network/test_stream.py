"""A stream: the whole network in one kernel, step by step, as the network itself runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import spikewright as sw
from engine.quadratic import QuadraticIF
from network.nets import NETS, leaves, low, sequence, spikes
from spikewright.engine.stream.stream import Stream
from spikewright.errors import BackendError, NetworkError, ShapeError


def on(backend: str, net: sw.Network) -> sw.Network:
    """The network with its neurons on that backend."""
    for module in net.modules():
        if isinstance(module, sw.Neuron):
            module.backend = backend
    return net


def make(name: str) -> sw.Network:
    return on("auto", NETS[name]()).eval()


def reference(net: sw.Network, x: Tensor, state: object = None) -> tuple[Tensor, object]:
    """What the reference backend gives; noise starts from the same seed as in `streamed`."""
    torch.manual_seed(5)
    with torch.no_grad():
        return on("reference", copy.deepcopy(net))(x, state)


def streamed(net: sw.Network, batch: int = 1, state: object = None) -> Stream:
    torch.manual_seed(5)
    return net.stream(batch, state)


def steps(stream: Stream, x: Tensor) -> Tensor:
    return torch.stack([stream.step(row) for row in x])


def same(ours: object, theirs: object) -> bool:
    """Whether two states are equal bit for bit, structure and dtypes included."""
    pairs = list(zip(leaves(ours), leaves(theirs), strict=True))
    return pytree.tree_structure(ours) == pytree.tree_structure(theirs) and all(
        torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs
    )


@pytest.mark.parametrize("name", NETS)
def test_steps_of_a_stream_equal_one_run_bit_for_bit(name: str) -> None:
    net = make(name)
    x = spikes(23, 3, *net.shape)
    whole, state = reference(net, x)
    stream = streamed(net, 3)
    assert whole.any()
    assert torch.equal(steps(stream, x), whole)
    assert same(stream.state, state)


@pytest.mark.parametrize("name", ["noise and refractory", "recurrent with noise", "delay", "skip"])
def test_a_stream_goes_on_from_a_state_and_hands_one_on(name: str) -> None:
    net = make(name)
    x = spikes(24, 2, *net.shape)
    whole, last = reference(net, x)
    _, state = reference(net, x[:7])
    stream = net.stream(2, state)
    middle = torch.cat([stream.run(x[7:12]), steps(stream, x[12:17])])
    end, after = reference(net, x[17:], stream.state)
    assert torch.equal(torch.cat([middle, end]), whole[7:])
    assert same(after, last)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(*[st.sampled_from([1, 2, 63, 64, 65, 130])] * 3),
    model=st.sampled_from([sw.LIF, sw.CubaLIF, sw.AdaptiveLIF, sw.AHPLIF, sw.IF]),
    refractory=st.sampled_from([0.0, 3e-3]),
    density=st.sampled_from([0.0, 0.05, 1.0]),
    seed=st.integers(0, 99),
)
def test_random_networks_agree_in_float64_up_to_the_order_of_sums(
    sizes: tuple[int, int, int],
    model: type[sw.Neuron],
    refractory: float,
    density: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    cells = sw.Recurrent(low(model, refractory=refractory))
    layers = (sw.Linear(sizes[0], sizes[1]), cells, sw.Linear(sizes[1], sizes[2]), sw.LI())
    net = sw.Sequential(*layers, dt=1e-3).double()
    x = torch.randn(30, 2, sizes[0]).double() * (torch.rand(30, 2, sizes[0]) < density)
    whole, state = reference(net, x)
    stream = net.stream(2)
    torch.testing.assert_close(steps(stream, x), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(leaves(stream.state), leaves(state), rtol=1e-12, atol=1e-12)


def test_a_recurrent_network_equals_a_loop_in_numpy() -> None:
    net = sequence(sw.Linear(6, 9), sw.Recurrent(low(sw.LIF, tau_mem=10e-3)), sw.Linear(9, 2))
    net = net.double()
    w, back, out = (p.detach().numpy() for n, p in net.named_parameters() if "weight" in n)
    b, c = (p.detach().numpy() for n, p in net.named_parameters() if "bias" in n)
    x, stream = spikes(40, 1, 6).double(), net.stream()
    decay, v, s, fired = np.exp(-0.1), np.zeros(9), np.zeros(9), 0
    for row in x:
        v = decay * v + (1 - decay) * (w @ row[0].numpy() + b + back @ s)
        s = (v > float(net.layers["1_recurrent"].neuron.params().v_threshold)).astype(float)
        v, fired = np.where(s > 0, 0, v), fired + s.sum()
        np.testing.assert_allclose(stream.step(row)[0].numpy(), out @ s + c, rtol=1e-12, atol=1e-12)
    assert 20 < fired < 300


def test_convolutions_and_pools_agree_with_all_their_options() -> None:
    torch.manual_seed(3)
    net = sw.Sequential(
        sw.BatchNorm(),
        sw.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        sw.MaxPool2d(3, stride=2, padding=1),
        sw.Conv2d(4, 3, 2, padding="same", dilation=2, bias=False),
        sw.AvgPool2d((2, 3), stride=1, padding=1),
        sw.SumPool2d(2),
        sw.Dropout(0.5),
        sw.Flatten(),
        dt=1e-3,
        shape=(2, 13, 12),
    ).double()
    net(torch.randn(5, 4, 2, 13, 12).double())  # gives batch norm its running statistics
    x = torch.randn(4, 2, 2, 13, 12).double()
    with torch.no_grad():
        expected, _ = net.eval()(x)
    torch.testing.assert_close(net.stream(2).run(x), expected, rtol=1e-12, atol=1e-12)


def test_a_convolution_of_lines_agrees() -> None:
    net = sequence(sw.Conv1d(2, 3, 3, stride=2, padding=1), low(sw.LIF), inputs=(2, 9))
    x = spikes(15, 2, 2, 9)
    whole, _ = reference(net, x)
    assert whole.any()
    assert torch.equal(net.stream(2).run(x), whole)


def test_spikes_may_come_back_through_delays_or_a_convolution() -> None:
    back = sw.DelayedLinear(8, 8, delays=torch.tensor([0.0, 1.5e-3, 4e-3, 2e-3] * 2), bias=False)
    kernel = sw.Conv2d(2, 2, 3, padding=1, path="dense")
    layers = (sw.Recurrent(low(sw.LIF), kernel), sw.Flatten(), sw.Recurrent(low(sw.LIF), back))
    net = sequence(*layers, inputs=(2, 2, 2))
    x = spikes(25, 2, 2, 2, 2)
    whole, state = reference(net, x)
    stream = net.stream(2)
    assert 0.05 < whole.mean() < 0.95
    assert torch.equal(torch.cat([stream.run(x[:11]), steps(stream, x[11:])]), whole)
    assert same(stream.state, state)


def test_each_neuron_may_have_parameters_of_its_own_and_a_step_of_its_users() -> None:
    taus, edges = torch.linspace(5e-3, 30e-3, 5), torch.linspace(0.02, 0.08, 5)
    several = sw.MultiSynapseLIF(tau_syn=(taus, taus / 3), v_threshold=edges)
    own = QuadraticIF(v_threshold=edges, tau_mem=taus)
    net = sequence(sw.Linear(6, 10), several, sw.Linear(5, 5), own, sw.Linear(5, 2))
    x = spikes(30, 2, 6)
    whole, state = reference(net, x)
    stream = net.stream(2)
    assert len(whole.unique()) > 4
    assert torch.equal(steps(stream, x), whole)
    assert same(stream.state, state)


def test_a_stream_made_in_inference_mode_runs_in_and_out_of_it() -> None:
    net = make("noise and refractory")
    x = spikes(12, 1, 6)
    whole, _ = reference(net, x)
    with torch.inference_mode():
        stream = streamed(net)
        first = stream.run(x[:4])
    second = steps(stream, x[4:8])
    with torch.inference_mode():
        stream.reset(stream.state)
        third = steps(stream, x[8:])
    assert torch.equal(torch.cat([first, second, third]), whole)


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    net = make("recurrent")
    x = spikes(12, 3, 6)
    alone = torch.cat([net.stream().run(x[:, b : b + 1]) for b in range(3)], 1)
    assert alone.any()
    assert torch.equal(net.stream(3).run(x), alone)


def test_an_output_stays_as_it_was_when_the_next_step_is_taken() -> None:
    stream = make("cuba").stream()
    x = spikes(6, 1, 6)
    rows = [stream.step(row) for row in x]
    kept = [row.clone() for row in rows]
    state = stream.state
    before = copy.deepcopy(state)
    stream.run(x)
    assert all(torch.equal(a, b) for a, b in zip(rows, kept, strict=True))
    assert same(state, before)


def test_a_reset_starts_afresh_or_from_a_state() -> None:
    stream = make("cuba").stream()
    x = spikes(20, 1, 6)
    first = stream.run(x[:10])
    state = stream.state
    second = stream.run(x[10:])
    stream.reset()
    assert torch.equal(stream.run(x[:10]), first)
    stream.reset(state)
    assert torch.equal(stream.run(x[10:]), second)


def test_weights_that_change_are_read_at_the_next_step_and_the_state_is_kept() -> None:
    net = make("recurrent")
    x = spikes(15, 2, 6)
    stream = net.stream(2)
    y, state = reference(net, x[:5])
    assert torch.equal(stream.run(x[:5]), y)
    with torch.no_grad():
        net.layers["1_recurrent"].connection.weight.mul_(0.5)
    y, state = reference(net, x[5:8], state)
    assert torch.equal(steps(stream, x[5:8]), y)
    net.layers["0_linear"].weight.data = net.layers["0_linear"].weight.data * 2
    y, state = reference(net, x[8:10], state)
    assert torch.equal(stream.run(x[8:10]), y)
    net.layers["0_linear"].weight.data.mul_(0.25)  # PyTorch does not count this
    stream.refresh()
    y, state = reference(net, x[10:], state)
    assert torch.equal(steps(stream, x[10:]), y)
    assert same(stream.state, state)


def test_a_network_that_becomes_float64_takes_its_stream_along() -> None:
    net = make("cuba")
    stream = net.stream()
    stream.run(spikes(5, 1, 6))
    net.double()
    assert stream.step(spikes(1, 1, 6)[0].double()).dtype is torch.float64


def test_learnable_parameters_of_neurons_are_read_anew() -> None:
    net = sequence(sw.Linear(6, 9), sw.LI(tau_mem=sw.learnable(10e-3)))
    x, stream = spikes(8, 1, 6), net.stream()
    stream.run(x)
    with torch.no_grad():
        net.layers["1_li"].parameter_set.tau_mem.add_(0.5)
    stream.reset()
    assert torch.equal(stream.run(x), reference(net, x)[0])


def test_numpy_whole_numbers_and_other_strides_are_taken_as_they_mean() -> None:
    net = make("cuba")
    x = spikes(9, 2, 6)
    expected = net.stream(2).run(x)
    wide = torch.stack([x, x], -1)[..., 0]
    frozen = x.numpy().copy()
    frozen.flags.writeable = False
    for given_x in (x.bool(), x.long(), wide, frozen, frozen[:, :, ::-1][:, :, ::-1]):
        assert torch.equal(net.stream(2).run(given_x), expected)
        stream = net.stream(2)
        assert torch.equal(torch.stack([stream.step(row) for row in given_x]), expected)


def refused(x: object, error: type[Exception] = ShapeError) -> str:
    stream = make("cuba").stream(2)
    stream.run(spikes(4, 2, 6))
    before = stream.state
    with pytest.raises(error) as caught:
        stream.step(x)
    assert same(stream.state, before)
    return str(caught.value)


def test_an_input_of_another_shape_or_kind_is_refused() -> None:
    assert refused(torch.zeros(2, 5)) == (
        "stream.step: input must be (batch, *features) = (2, 6), got shape (2, 5). "
        "Add the axes that are missing, or make a stream for that batch."
    )
    assert refused([0.0] * 6) == (
        "stream.step: input must be (batch, *features) = (2, 6), got list. "
        "Add the axes that are missing, or make a stream for that batch."
    )
    assert refused(torch.zeros(2, 6).double()) == (
        "stream.step: input must be torch.float32 on the CPU, as the weights are, got "
        "torch.float64 on cpu. Convert it with x.to('cpu', torch.float32)."
    )
    assert refused(np.zeros((2, 6))).startswith("stream.step: input must be torch.float32")
    with pytest.raises(ShapeError, match=r"^stream.run: input must be a tensor"):
        make("cuba").stream().run(3)
    with pytest.raises(ShapeError, match=r"^stream.run: input must be \(time, batch, \*features\)"):
        make("cuba").stream().run(torch.zeros(0, 1, 6))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_input_that_is_not_finite_is_refused_and_changes_nothing(value: float) -> None:
    x = torch.zeros(2, 6)
    x[1, 5] = value
    assert refused(x) == (
        f"stream.step: input must be finite, got {value} at (time, batch, *features) = (0, 1, 5), "
        "1 such values in all. Clean the data, or scale it."
    )


def test_a_sequence_that_is_not_finite_is_refused_before_noise_is_drawn() -> None:
    net = make("noise and refractory")
    x = spikes(9, 1, 6)
    stream = streamed(net)
    bad = x.clone()
    bad[8, 0, 2] = torch.nan
    with pytest.raises(ShapeError, match=r"got nan at \(time, batch, \*features\) = \(8, 0, 2\)"):
        stream.run(bad)
    assert torch.equal(stream.run(x), reference(net, x)[0])


def test_a_gradient_is_refused_and_without_gradients_such_an_input_is_taken() -> None:
    x = torch.zeros(2, 6, requires_grad=True)
    assert refused(x, BackendError) == (
        "stream.step: input must not require a gradient, got one that does. A stream has none: "
        "call net(x, state), or pass x.detach()."
    )
    with torch.no_grad():
        assert not make("cuba").stream(2).step(x).requires_grad


def complaint(net: sw.Network, batch: int = 1, state: object = None) -> str:
    with pytest.raises((BackendError, NetworkError, ShapeError)) as caught:
        net.stream(batch, state)
    return str(caught.value)


def test_a_layer_that_cannot_be_compiled_is_named() -> None:
    fold = sequence(sw.Linear(6, 4), sw.Fold(nn.ReLU())).eval()
    assert complaint(fold) == (
        "network.stream: layer '1_fold': Fold: the layer must be one that can be compiled, got "
        "one without a description of its step. Run the network with net(x, state), step by step "
        "if need be."
    )
    assert complaint(sequence(sw.Dropout(0.5), sw.Linear(6, 4)).train()) == (
        "network.stream: layer '0_dropout': Dropout: the layer must be in evaluation mode to be "
        "compiled, got training. Call net.eval() first."
    )
    assert "layer '0_batchnorm': BatchNorm" in complaint(sequence(sw.BatchNorm()).train())
    assert complaint(sequence(sw.Recurrent(sw.LIF(backend="reference")))) == (
        "network.stream: layer '0_recurrent': LIF: backend must be 'auto' or 'cpu' to be "
        "compiled, got 'reference'. Change it, or run the network with net(x, state)."
    )


def test_a_step_that_cannot_be_traced_names_its_layer() -> None:
    class Branching(QuadraticIF):
        @staticmethod
        def step(x, state, c):  # type: ignore[no-untyped-def]
            return QuadraticIF.step(x if x.sum() > 0 else -x, state, c)

    assert complaint(sequence(sw.Linear(6, 4), Branching())).startswith(
        "network.stream: layer '1_branching': engine.trace: "
    )


def test_a_layer_that_does_more_than_its_class_says_is_refused() -> None:
    class Doubled(sw.Linear):
        def forward(self, x: Tensor, state: object = None) -> tuple[Tensor, None]:
            y, _ = super().forward(x, state)
            return 2 * y, None

    assert complaint(sequence(sw.Recurrent(sw.LIF(), Doubled(6, 6)))) == (
        "network.stream: layer '0_recurrent': Doubled: the layer must do what its class says to "
        "be compiled, got forward of its own. Override part() as well, or run the network with "
        "net(x, state)."
    )
    hooked = make("cuba")
    hooked.layers["0_linear"].register_forward_hook(lambda layer, x, y: None)
    assert "got _forward_hooks of its own" in complaint(hooked)


def test_numbers_that_cannot_be_compiled_are_named() -> None:
    mixed = sequence(sw.Linear(6, 4), sw.LIF())
    mixed.layers["1_lif"].double()
    assert complaint(mixed) == (
        "network.stream: weights and parameters must be of one dtype, got torch.float32 in layer "
        "'0_linear', torch.float64 in layer '1_lif'. Convert the network, for example with "
        "net.float()."
    )
    assert "layer '0_linear' must hold float32 or float64" in complaint(make("cuba").half())
    spoilt = make("cuba")
    with torch.no_grad():
        spoilt.layers["2_linear"].weight[1, 1] = torch.nan
    assert complaint(spoilt) == (
        "network.stream: weights of layer '2_linear' must be finite, got nan. "
        "The network has been spoilt in training; load an earlier checkpoint."
    )


def test_a_network_without_a_shape_and_wrong_arguments_are_refused() -> None:
    assert complaint(sw.Sequential(sw.LIF(), dt=1e-3)) == (
        "network.stream: the network's input shape must be known, got None. "
        "Call net.build(shape), or run it once."
    )
    assert complaint(make("cuba"), 0) == (
        "network.stream: batch must be a whole number from 1, got 0. "
        "Pass how many samples run side by side."
    )


def test_a_state_of_another_batch_or_network_is_refused() -> None:
    net = make("refractory")
    _, state = reference(net, spikes(3, 2, 6))
    assert "must be of the input's batch size 1, got 2" in complaint(net, 1, state)
    bare = {name: value.neuron for name, value in state.items()}
    assert complaint(net, 2, bare).startswith(
        "network.stream: state of layer '1_cubalif' must be what the network returned, "
        "RefractoryState("
    )
