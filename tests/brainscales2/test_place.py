"""Partition, place, route and schedule."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from brainscales2.designs import TAU, design, feed_forward, laid, on_chip, spikes, with_weights
from spikewright.compiler.design import Design, Piece
from spikewright.compiler.reporting.placement import placement
from spikewright.targets.brainscales2.lowering.partition import Partition
from spikewright.targets.brainscales2.lowering.place import Place
from spikewright.targets.brainscales2.lowering.route import Route, circuits


def placed(network: sw.Network, repeat: int = 1, dead: tuple[int, ...] = ()) -> Design:
    found = design(network)
    for one in (Partition(repeat, dead), Place(repeat, dead), Route(repeat)):
        found = one.apply(found)
    return found


def runs(found: Design) -> dict[str, list[int]]:
    names = dict.fromkeys(piece.node for piece in found.pieces)
    return {n: sorted({p.run for p in found.pieces if p.node == n}) for n in names}


def check_layout(found: Design, repeat: int = 1) -> None:
    """No circuit and no row twice, every neuron once, every source heard where it is needed."""
    for run in {place.piece.run for place in found.places}:
        used = [
            place.core * 256 + int(unit)
            for place in found.places
            if place.piece.run == run
            for unit in place.units
        ]
        assert len(used) == len(set(used))
        assert max(used) < 512
        for core in (0, 1):
            routes = [r for r in found.routes if (r.run, r.core) == (run, core)]
            rows = np.concatenate([r.rows.ravel() for r in routes]) if routes else np.empty(0)
            rows = rows[rows >= 0]
            assert len(rows) == len(set(rows.tolist()))
            assert len(rows) <= 256
            addresses = np.concatenate([r.addresses for r in routes]) if routes else np.empty(0)
            assert len(addresses) == len(set(addresses.tolist()))
            for route in routes:
                often = route.source == "input" or route.source.endswith(".bias")
                assert route.rows.shape[1] == 2 * (repeat if often else 1)
    for node in found.program.nodes:
        if node.name in runs(found):
            mine = [p.piece for p in found.places if p.piece.node == node.name]
            neurons = sorted(n for p in mine for n in range(p.first, p.last))
            assert neurons == list(range(node.shape[0]))


def test_yin_yang_fits_into_one_block_and_one_run() -> None:
    found = placed(feed_forward(5, 120, 3))
    check_layout(found)
    assert runs(found) == {"n0": [0], "out": [0]}
    assert {place.core for place in found.places} == {0}
    assert sum((r.rows >= 0).sum() for r in found.routes) == 2 * (5 + 120)


def test_biases_take_two_rows_in_each_block_of_their_layer() -> None:
    found = placed(feed_forward(5, 120, 3, bias=True))
    check_layout(found)
    assert {place.core for place in found.places} == {0}
    assert sum((r.rows >= 0).sum() for r in found.routes) == 2 * (5 + 1 + 120 + 1)
    wide = placed(feed_forward(60, 400, bias=True), repeat=2)
    check_layout(wide, repeat=2)
    shared = [r for r in wide.routes if r.source == "out.bias"]
    assert [(r.core, r.rows.shape) for r in shared] == [(0, (1, 4)), (1, (1, 4))]
    assert shared[0].addresses == shared[1].addresses


def test_a_readout_moves_to_the_other_block_when_repeated_rows_fill_the_first() -> None:
    found = placed(feed_forward(5, 120, 3), repeat=5)
    check_layout(found, repeat=5)
    assert runs(found) == {"n0": [0], "out": [0]}
    assert [place.core for place in found.places] == [0, 1]


def test_a_layer_wider_than_a_block_takes_both() -> None:
    found = placed(feed_forward(60, 400))
    check_layout(found)
    assert runs(found) == {"out": [0]}
    assert sorted(len(place.units) for place in found.places) == [144, 256]


def test_a_layer_wider_than_the_chip_takes_several_runs() -> None:
    found = placed(feed_forward(60, 1100))
    check_layout(found)
    assert runs(found) == {"out": [0, 1, 2]}


def test_a_deep_network_is_cut_where_the_rows_run_out() -> None:
    found = placed(feed_forward(100, 120, 120, 120, 4))
    check_layout(found)
    assert runs(found) == {"n0": [0], "n1": [0], "n2": [1], "out": [1]}
    crossing = next(r for r in found.routes if (r.run, r.source) == (1, "n1"))
    assert int(crossing.addresses.min()) >= 512
    inside = next(r for r in found.routes if (r.run, r.source) == (0, "n0"))
    np.testing.assert_array_equal(inside.addresses, circuits(found.places, "n0", 0))


def test_a_network_with_a_layer_that_fits_nowhere_has_no_pieces() -> None:
    """588 neurons reach each neuron of the readout through a pool: no run can hold that."""
    network = sw.Sequential(
        {
            "conv": sw.Conv2d(1, 12, 3, bias=False), "a": sw.CubaLIF(**TAU),
            "pool": sw.SumPool2d(7), "flat": sw.Flatten(),
            "w": sw.Linear(12, 2, bias=False), "out": sw.CubaLI(**TAU),
        },
        dt=1e-6, shape=(1, 9, 9),
    )  # fmt: skip
    found = placed(network)
    assert runs(found).get("a", []) == []  # 588 neurons are heard by each neuron of the readout
    assert "'out' does not fit" in found.notes[0]


def test_a_layer_does_not_run_beside_half_of_its_source() -> None:
    """612 neurons need two runs; the pool behind them has room in the second, but not its rows."""
    network = sw.Sequential(
        {
            "conv": sw.Conv2d(1, 17, 3, padding=1, bias=False), "a": sw.CubaLIF(**TAU),
            "w": sw.Conv2d(17, 1, 2, stride=2, bias=False), "b": sw.CubaLIF(**TAU),
        },
        dt=1e-6, shape=(1, 6, 6),
    )  # fmt: skip
    found = placed(network)
    assert runs(found)["a"] == [0, 1]
    assert min(runs(found)["b"]) == 2


def test_an_unrolled_image_needs_rows_only_for_the_pixels_that_a_block_sees() -> None:
    network = sw.Sequential(
        sw.Conv2d(1, 1, 3, bias=False), sw.CubaLIF(**TAU), dt=1e-6, shape=(1, 16, 16)
    )
    found = placed(network)
    assert {p.piece.node for p in found.places} == {"1_cubalif"}
    assert {p.core for p in found.places} == {0, 1}
    for route in found.routes:
        heard = (route.rows >= 0).all(axis=1)
        assert heard.sum() <= 128
        assert ((route.rows >= 0).any(axis=1) == heard).all()


def test_dead_circuits_get_no_neuron() -> None:
    dead = (*range(0, 200, 3), 300)
    found = placed(feed_forward(5, 120, 3), dead=dead)
    check_layout(found)
    used = {p.core * 256 + int(u) for p in found.places for u in p.units}
    assert not used & set(dead)
    assert len(used) == 123


def test_a_chip_of_dead_circuits_holds_nothing_that_feeds_back() -> None:
    network = sw.Sequential(sw.Linear(5, 100, bias=False), sw.Recurrent(sw.CubaLIF(**TAU)), dt=1e-6)
    dead = tuple(range(60, 256)) + tuple(range(300, 512))
    assert placed(network).pieces == (Piece("1_recurrent", 0, 100, 0),)
    assert placed(network, dead=dead[:-1] + tuple(range(286, 300))).pieces == ()
    assert placed(feed_forward(5, 100), dead=dead[:-1] + tuple(range(286, 300))).pieces != ()


def test_a_schedule_is_as_long_as_the_sample_and_the_way_of_its_events() -> None:
    network = with_weights(feed_forward(4, 10, 3), 0, w0=(0.8, 0.2), w1=(0.0, 0.3))
    found, _ = laid(network, spikes(38, 2, 4))
    (slot,) = found.slots
    assert (slot.nodes, slot.inputs) == (("n0", "out"), ("input",))
    assert 38e-6 < slot.seconds < 41e-6
    faster, _ = laid(
        feed_forward(4, 10, 3, tau_mem=6e-4, tau_syn=6e-4), spikes(38, 2, 4), acceleration=10.0
    )
    assert faster.slots[0].seconds < 6e-6


def test_passes_say_their_names_and_change_nothing_they_are_given() -> None:
    before = design(feed_forward(5, 120, 3))
    after = Partition().apply(before)
    assert before.pieces == ()
    assert [one.name for one in (Partition(), Place(), Route())] == ["partition", "place", "route"]
    assert after.program is before.program


def test_the_picture_shows_each_layer_where_its_columns_meet_its_rows() -> None:
    network = with_weights(feed_forward(5, 120, 3), 0, w0=(0.8, 0.2), w1=(0.0, 0.3))
    artefact, found = on_chip(network, spikes(38, 2, 5))
    (picture,) = placement(found, (256, 256))
    cells = np.asarray(picture.cells)
    assert (cells == picture.labels.index("n0")).sum() == 10 * 120
    assert (cells == picture.labels.index("out")).sum() == 240 * 3
    assert not (artefact.plan.runs[0].configuration.weights[0][cells < 0]).any()


def test_the_picture_shows_the_rows_of_biases() -> None:
    found = placed(feed_forward(5, 40, 3, bias=True))
    (picture,) = placement(found, (256, 256))
    cells = np.asarray(picture.cells)
    assert (cells == picture.labels.index("n0")).sum() == 2 * (5 + 1) * 40
    assert (cells == picture.labels.index("out")).sum() == 2 * (40 + 1) * 3


@pytest.mark.parametrize("repeat", [1, 3])
def test_every_address_is_listened_to_by_as_many_rows_of_each_sign(repeat: int) -> None:
    network = with_weights(feed_forward(5, 30, 3), 0, w0=(0.8, 0.2), w1=(0.0, 0.3))
    artefact, _ = on_chip(network, spikes(38, 2, 5), repeat=repeat)
    configuration = artefact.plan.runs[0].configuration
    for source, copies in (("input", repeat), ("n0", 1)):
        route = next(r for r in artefact.plan.runs[0].routes if r.source == source)
        for address in route.addresses:
            signs = configuration.row_sign[configuration.row_address == address]
            assert sorted(signs.tolist()) == [-1] * copies + [1] * copies
