"""The relational network: what it computes, and what no masked sentence can change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.connections.pairs import Pairs
from spikewright.connections.place import Place
from spikewright.connections.repeat import Repeat
from spikewright.connections.select import Select
from spikewright.connections.shared import Shared
from spikewright.connections.total import Total
from spikewright.data.babi import encode
from spikewright.errors import NetworkError, ParameterError, ShapeError
from spikewright.models import RelationalNetwork

SENTENCES, WORDS, VOCABULARY = 4, 3, 7
INPUTS = VOCABULARY + SENTENCES


@pytest.fixture(scope="module")
def network() -> RelationalNetwork:
    torch.manual_seed(0)
    net = RelationalNetwork(SENTENCES, INPUTS, 5, encoder=12, relation=(10, 8), answer=(6,))
    sw.aim_rates(net, stories([SENTENCES] * 8), rate=0.1)
    return net.eval()


def numbers(told: list[int], seed: int = 0) -> torch.Tensor:
    """Random sentences, so many a story, (batch, sentences + 1, words)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(told), SENTENCES + 1, WORDS)
    words = torch.randint(1, VOCABULARY + 1, shape, generator=generator)
    for row, count in enumerate(told):
        words[row, : SENTENCES - count] = 0
    return words


def stories(told: list[int], seed: int = 0) -> torch.Tensor:
    return encode(numbers(told, seed), VOCABULARY, hold=2, read=6)


def test_what_stands_in_a_masked_row_changes_nothing(network: RelationalNetwork) -> None:
    x = stories([2, 2, 0, 1])
    noise = (torch.rand(x.shape, generator=torch.Generator().manual_seed(5)) < 0.5).float()
    masked = x[-1, ..., -1:] == 0
    filled = torch.where(masked & (torch.arange(x.shape[-1]) < INPUTS), noise, x)
    assert not torch.equal(filled, x)
    out = network.run(x)
    assert out.records["g1"]["spikes"].sum() > 0
    assert torch.equal(network(filled)[0], out.output)


def test_the_gradient_of_a_masked_row_is_zero(network: RelationalNetwork) -> None:
    x = stories([2]).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[0].square().sum(), x)
    assert gradient[..., :2, :-1].abs().sum() == 0
    assert gradient[..., 2:, :-1].abs().sum() > 0


@pytest.mark.parametrize("told", [0, 1])
def test_an_empty_story_and_a_single_sentence_are_answered(
    network: RelationalNetwork, told: int
) -> None:
    run = network.run(stories([told] * 3))
    assert run.output.isfinite().all()
    pairs = run.records["g0"]["spikes"].sum((0, 1, 3)) > 0
    assert int(pairs.sum()) == told  # only the last sentence with itself
    assert bool(pairs[-1]) == bool(told)


def test_g_is_silent_until_the_gates_open(network: RelationalNetwork) -> None:
    spikes = network.run(stories([SENTENCES] * 4)).records["g0"]["spikes"]
    assert spikes[: 2 * WORDS].sum() == 0
    assert spikes[2 * WORDS :].sum() > 0


def test_two_chunks_are_one_run(network: RelationalNetwork) -> None:
    x = stories([4, 3])
    whole, last = network(x)
    first, state = network(x[:5])
    second, state = network(x[5:], state)
    torch.testing.assert_close(torch.cat((first, second)), whole, rtol=1e-5, atol=1e-6)
    for name, value in last["sentence"]._asdict()["neuron"]._asdict().items():
        torch.testing.assert_close(getattr(state["sentence"].neuron, name), value)


def test_all_sentences_share_the_encoder(network: RelationalNetwork) -> None:
    words = numbers([SENTENCES])
    words[:, :-1] = words[:, :1]
    x = encode(words, VOCABULARY, hold=2, read=6)
    x[..., VOCABULARY:-1] = 0  # but for their place they are the same
    spikes = network.run(x).records["sentence"]["spikes"]
    assert spikes.sum() > 0
    assert bool((spikes == spikes[:, :, :1]).all())


@pytest.mark.parametrize("asked", [True, False])
def test_a_sentence_is_read_for_the_question_if_asked(asked: bool) -> None:
    torch.manual_seed(0)
    sizes = {"encoder": 12, "relation": (10,), "answer": ()}
    net = RelationalNetwork(SENTENCES, INPUTS, 2, asked=asked, **sizes)
    words = numbers([SENTENCES] * 4)
    x = encode(words, VOCABULARY, hold=2, read=6)
    sw.aim_rates(net, x, rate=0.1)
    words[:, -1] = words[:, -1] % VOCABULARY + 1  # another question, the same story
    other = encode(words, VOCABULARY, hold=2, read=6)
    told, again = (net.run(each).records["sentence"]["spikes"] for each in (x, other))
    assert told.sum() > 0
    assert torch.equal(told, again) != asked


def test_it_learns_how_many_sentences_there_are() -> None:
    torch.manual_seed(0)
    options = {"firing": sw.Firing("subtract"), "surrogate": sw.surrogate.Arctan(width=1.0)}
    net = RelationalNetwork(
        SENTENCES,
        INPUTS,
        2,
        encoder=12,
        relation=(10,),
        answer=(),
        encoder_neurons=lambda: sw.AHPLIF(tau_ahp=20e-3, beta=0.05, r=20.0, **options),
        neurons=lambda: sw.LIF(tau_mem=3e-3, r=3.5, **options),
    )
    x, y = stories([1, 4] * 8), torch.tensor([0, 1] * 8)
    sw.aim_rates(net, x, {"sentence": 0.1, "question": 0.2, "g0": 0.05})
    rule = sw.learning.Surrogate(learning_rate=2e-2)
    state, losses = rule.init(net), []
    for _ in range(20):
        metrics, state = rule.train_batch(net, sw.learning.Batch(x, y), state)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"relation": ()}, "relation must hold at least one layer"),
        ({"sentences": 0}, "sentences must be a positive integer"),
        ({"encoder": 1.5}, "encoder must be a positive integer"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(ParameterError, match=fault):
        RelationalNetwork(**{"sentences": 4, "inputs": 9, "classes": 3} | options)


def test_pairs_are_the_gated_sums_written_out_in_numpy() -> None:
    torch.manual_seed(0)
    layer = Pairs(3).double()
    layer.build((4, 6), dt=1e-3)
    layer.double()
    x = torch.rand(2, 2, 4, 6, dtype=torch.float64)
    x[..., -1] *= x[..., -1] > 0.4
    y = layer(x)[0].detach().numpy()
    u, v, w = (layer.weight.detach().numpy()[:, k] for k in range(3))
    for t, b in np.ndindex(2, 2):
        rows = x[t, b].numpy()
        pairs = [(i, j) for i in range(3) for j in range(i, 3)]
        for k, (i, j) in enumerate(pairs):
            gate = rows[i, -1] * rows[j, -1] * rows[3, -1]
            total = u @ rows[i, :-1] + v @ rows[j, :-1] + w @ rows[3, :-1]
            np.testing.assert_allclose(y[t, b, k], gate * total, rtol=1e-12)


def test_pairs_refuse_other_shapes() -> None:
    for shape in ((4,), (1, 6), (4, 1)):
        with pytest.raises(NetworkError, match=r"must be \(objects \+ 1, features \+ 1\)"):
            Pairs(3).build(shape, dt=1e-3)


def test_a_shared_layer_is_the_layer_at_each_place() -> None:
    torch.manual_seed(0)
    inner = sw.Recurrent(sw.LIF(tau_mem=5e-3))
    layer = Shared(inner)
    layer.build((3, 6), dt=1e-3)
    x = 5 * torch.rand(20, 2, 3, 6)
    spikes, state, traces = layer.run(x, None, ("v",))
    for place in range(3):
        alone, last, trace = inner.run(x[:, :, place], None, ("v",))
        assert torch.equal(spikes[:, :, place], alone)
        assert torch.equal(state.neuron.v[:, place], last.neuron.v)
        assert torch.equal(traces["v"][:, :, place], trace["v"])
    assert spikes.sum() > 0
    again = layer(x[10:], layer(x[:10])[1])[0]
    assert torch.equal(again, spikes[10:])
    assert layer.initial_state(2).neuron.v.shape == (2, 3, 6)


def test_lists_of_events_of_one_grouping_are_not_taken_for_another() -> None:
    torch.manual_seed(0)
    net = sw.Sequential(
        Shared(sw.Linear(40, 30, path="events")),
        Shared(sw.LIF(tau_mem=2e-3)),
        sw.Flatten(),
        sw.Linear(90, 20, path="events"),
        dt=1e-3,
        shape=(3, 40),
    )
    x = (torch.rand(20, 4, 3, 40) < 0.3).float()
    sw.aim_rates(net, x, rate=0.2)
    run = net.run(x)
    first, last = net.layers["0_shared"].layer, net.layers["3_linear"]
    current = x @ first.weight.T + first.bias
    torch.testing.assert_close(net.layers["0_shared"](x)[0], current)
    spikes = run.records["1_shared"]["spikes"]
    torch.testing.assert_close(run.output, spikes.flatten(2) @ last.weight.T + last.bias)
    assert spikes.sum() > 0


def test_shared_wants_a_layer_and_an_axis_for_it() -> None:
    with pytest.raises(NetworkError, match="layer must be a spikewright Layer, got ReLU"):
        Shared(torch.nn.ReLU())  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="must have more than 1 axes"):
        Shared(sw.LIF()).build((3,), dt=1e-3)
    layer = Shared(sw.LIF())
    layer.build((3, 6), dt=1e-3)
    with pytest.raises(ShapeError, match=r"Shared: input must be \(time, batch, 3, 6\)"):
        layer(torch.zeros(5, 2, 4, 6))


def test_select_place_repeat_and_total_against_plain_indexing() -> None:
    x = torch.rand(4, 2, 5, 6)
    assert torch.equal(Repeat(3)(x[:, :, :1])[0], x[:, :, [0, 0, 0]])
    with pytest.raises(NetworkError, match=r"must be \(1, \*features\), got \(5, 6\)"):
        Repeat(3).build((5, 6), dt=1e-3)
    assert torch.equal(Select((1, 3), (0, 2))(x)[0], x[:, :, 1:3, :2])
    placed = Place((7, 9), at=(2, 3))(x)[0]
    assert torch.equal(placed[:, :, 2:, 3:], x)
    assert float(placed.sum()) == pytest.approx(float(x.sum()))
    torch.testing.assert_close(Total(0.5)(x)[0], 0.5 * x.sum(2))


@pytest.mark.parametrize(
    ("make", "shape", "fault"),
    [
        (lambda: Select((0, 4)), (3,), "must have 1 axes that hold the ranges"),
        (lambda: Select((0, 2)), (3, 3), "must have 1 axes"),
        (lambda: Place((4,), at=(2,)), (3,), r"must fit into \(4,\) at \(2,\)"),
        (Total, (3,), "must be"),
    ],
)
def test_wiring_that_does_not_fit_is_refused(make, shape: tuple[int, ...], fault: str) -> None:
    with pytest.raises(NetworkError, match=fault):
        make().build(shape, dt=1e-3)


@pytest.mark.parametrize("wrong", [(2, 2), (-1, 2), (0, 4, 2), (0, 2.5)])
def test_ranges_that_are_none_are_refused(wrong) -> None:
    with pytest.raises(ParameterError, match="0 <= first < last"):
        Select(wrong)


@pytest.mark.parametrize("wrong", [(1,), (1, -1), (1, 0.5)])
def test_places_that_are_none_are_refused(wrong) -> None:
    with pytest.raises(ParameterError, match="at must be a place for each"):
        Place((4, 4), at=wrong)
