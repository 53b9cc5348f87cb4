"""What the figures draw, number by number."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from spikewright.errors import ShapeError
from spikewright.report import (
    Boundary,
    Curve,
    Goal,
    Line,
    Membrane,
    ReportData,
    Sample,
    Stage,
    Weights,
    theme,
)
from spikewright.report.figures.boundary import boundary
from spikewright.report.figures.confusion import confusion
from spikewright.report.figures.curves import curves, series
from spikewright.report.figures.measured import measured
from spikewright.report.figures.membrane import choose, envelope, membrane
from spikewright.report.figures.plot import clock
from spikewright.report.figures.raster import SPIKE_LIMIT, raster, thin
from spikewright.report.figures.rates import rate_curves, rate_histograms
from spikewright.report.figures.readout import readout
from spikewright.report.figures.weights import weights
from spikewright.report.sections import sections


def test_raster_has_a_tick_at_each_spike_in_milliseconds() -> None:
    spikes = np.zeros((10, 4))
    spikes[[2, 7], [3, 0]] = 1
    plot = raster(Sample(input=spikes), clock(2e-3, 10))
    assert plot is not None
    trace = plot.figure.data[0]
    np.testing.assert_allclose(trace.x[0::3], [4.0, 14.0])
    np.testing.assert_allclose((trace.y[0::3] + trace.y[1::3]) / 2, [3.0, 0.0], atol=1e-6)
    assert np.isnan(trace.y[2::3]).all()


def test_analogue_input_is_drawn_as_a_map_of_its_values() -> None:
    values = np.linspace(0, 0.9, 12).reshape(4, 3)
    plot = raster(Sample(input=values), clock(None, 4))
    assert plot is not None
    np.testing.assert_allclose(plot.figure.data[0].z, values.T, rtol=1e-6)


def test_a_large_raster_keeps_whole_neurons_and_says_so() -> None:
    spikes = np.random.default_rng(0).random((200, 500)) < 0.3
    step, neuron, note = thin(spikes)
    assert 0.5 * SPIKE_LIMIT < len(step) <= SPIKE_LIMIT
    for index in np.unique(neuron):
        np.testing.assert_array_equal(step[neuron == index], np.nonzero(spikes[:, index])[0])
    plot = raster(Sample(hidden={"big": spikes}), clock(1e-3, 200))
    assert plot is not None
    assert f"big: {note}." in plot.caption


def test_one_busy_neuron_is_thinned_below_the_limit() -> None:
    step, _, note = thin(np.ones((100, 1)), limit=30)
    assert len(step) <= 30
    assert note == "every 4th spike drawn"


@pytest.mark.parametrize("length", [10, 3_000, 3_001, 50_003])
def test_thinned_traces_keep_peak_trough_and_order(length: int) -> None:
    y = np.random.default_rng(length).normal(size=length)
    x, thinned = envelope(np.arange(length), y)
    assert len(thinned) <= 3_000
    assert (np.diff(x) > 0).all()
    assert thinned.max() == y.max()
    assert thinned.min() == y.min()
    np.testing.assert_array_equal(y[x], thinned)


def test_membrane_shows_busy_to_quiet_neurons_with_their_true_numbers() -> None:
    spikes = np.zeros((20, 6))
    for column, count in enumerate((0, 3, 9, 1, 5, 0)):
        spikes[:count, column] = 1
    assert choose(np.zeros((20, 6)), spikes) == [2, 4, 1, 3]
    record = Membrane(v=np.zeros((20, 6)), spikes=spikes, neurons=np.arange(100, 106))
    figure = membrane("1_lif", record, clock(1e-3, 20)).figure
    assert figure.layout.yaxis.title.text == "neuron 102"
    np.testing.assert_allclose(figure.data[1].x, np.arange(9))


def test_membrane_threshold_is_that_of_the_neuron_shown() -> None:
    record = Membrane(v=np.arange(6.0).reshape(3, 2), threshold=np.array([2.0, 7.0]))
    shapes = membrane("1_lif", record, clock(1e-3, 3)).figure.layout.shapes
    assert sorted(shape.y0 for shape in shapes) == [2.0, 7.0]


def test_readout_draws_the_right_class_on_top_and_names_the_mistake() -> None:
    values = np.arange(12.0).reshape(4, 3)
    plot = readout(Sample(readout=values, target=0, prediction=2), ("a", "b", "c"), clock(None, 4))
    assert plot is not None
    top = plot.figure.data[-1]
    assert top.name == "a (right class)"
    assert top.line.color == theme.BLUE
    np.testing.assert_allclose(top.y, values[:, 0])
    assert plot.figure.data[-2].name == "c (chosen, wrong)"
    assert "chose “c” instead" in plot.caption


def test_curves_average_batches_of_an_epoch_and_name_the_best() -> None:
    records = [
        {"kind": "train", "epoch": 1, "step": 1, "loss": 3.0},
        {"kind": "train", "epoch": 1, "step": 2, "loss": 1.0},
        {"kind": "validation", "epoch": 1, "loss": 2.5, "accuracy": 0.9},
        {"kind": "train", "epoch": 2, "step": 3, "loss": 0.5},
        {"kind": "validation", "epoch": 2, "loss": 2.0, "accuracy": 0.8},
    ]
    assert series(records, "train", "loss") == ([1.0, 2.0], [2.0, 0.5])
    loss, accuracy = curves(records)
    assert [trace.name for trace in loss.figure.data] == ["train", "validation"]
    assert "90\N{NO-BREAK SPACE}%, epoch 1." in accuracy.caption


def test_a_loss_that_is_not_finite_is_a_gap_that_the_caption_explains() -> None:
    records = [{"kind": "train", "epoch": e, "loss": v} for e, v in ((1, 1.0), (2, np.nan))]
    (loss,) = curves(records)
    assert "not a finite number" in loss.caption
    assert '"y":[1.0,null]' in loss.figure.to_json()


def test_histograms_count_every_finite_value_once() -> None:
    values = np.random.default_rng(1).normal(size=(40, 25))
    values[0, :3] = np.nan
    (plot,) = weights({"0_linear": Weights(after=values, before=2 * values)})
    assert plot.figure.data[0].y.sum() == 997
    assert plot.figure.data[1].y[1:-1:2].sum() == 997
    assert "3 values not finite" in plot.caption


def test_rate_histogram_counts_silent_neurons() -> None:
    (plot,) = rate_histograms({"1_lif": np.array([0.0, 0.0, 0.1, 0.3])})
    assert plot.figure.data[0].y.sum() == 4
    assert plot.caption.startswith("4 neurons, mean 0.1, 2 silent")


def test_rate_curves_follow_each_layer() -> None:
    records = [
        {"kind": "train", "epoch": e, "rates": {"a": e / 10, "b": e / 20}} for e in (1, 2, 3)
    ]
    plot = rate_curves(records)
    assert plot is not None
    assert [list(trace.y) for trace in plot.figure.data] == [[0.1, 0.2, 0.3], [0.05, 0.1, 0.15]]


def test_confusion_shades_by_row_and_names_the_worst_mistake() -> None:
    plot = confusion(np.array([[3, 1], [0, 0]]), ("cat", "dog"))
    assert plot is not None
    np.testing.assert_allclose(plot.figure.data[0].z, [[0.75, 0.25], [0, 0]])
    assert "“cat” taken for “dog”, 25\N{NO-BREAK SPACE}% of its samples" in plot.caption


def test_every_colour_of_every_figure_has_a_dark_partner(run_data: ReportData) -> None:
    shown = sections(run_data)
    plots = [plot for part in shown for plot in part.plots]
    plots += [plot for part in shown for tab in part.tabs for plot in tab.plots]
    used = {c for plot in plots for c in re.findall("#[0-9a-fA-F]{6}", plot.figure.to_json())}
    assert used
    assert used <= set(theme.DARK)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    share = np.array(list(bytes.fromhex(colour[1:]))) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True])
def test_lines_and_text_stand_out_from_the_page(dark: bool) -> None:
    def seen(colour: str) -> float:
        return luminance(theme.DARK[colour] if dark else colour) + 0.05

    wanted = dict.fromkeys(theme.CATEGORIES, 3.0) | {theme.INK: 7.0, theme.MUTED: 4.5}
    for colour, least in wanted.items():
        pair = sorted((seen(colour), seen(theme.BACKGROUND)))
        assert pair[1] / pair[0] >= least, colour


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
DEUTERANOPE = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
PROTANOPE = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]


@pytest.mark.parametrize("matrix", [DEUTERANOPE, PROTANOPE])
@pytest.mark.parametrize("dark", [False, True])
def test_the_curves_of_train_validation_and_test_differ_for_the_colour_blind(
    matrix: list[list[float]], dark: bool
) -> None:
    colours = (theme.BLUE, theme.ORANGE, theme.GREEN)
    rgb = np.array([list(bytes.fromhex((theme.DARK[c] if dark else c)[1:])) for c in colours])
    seen = np.clip((rgb / 255) ** 2.2 @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(seen[first] - seen[second]).max() > 0.12


def test_a_boundary_colours_the_plane_and_marks_mistakes_only() -> None:
    record = Boundary(
        name="on the chip",
        x=np.array([0.0, 0.5, 1.0]),
        y=np.array([0.0, 1.0]),
        chosen=np.array([[0, 1, 2], [2, -1, 0]]),
        points=np.array([[0.1, 0.1], [0.9, 0.2], [0.4, 0.8]]),
        targets=np.array([0, 2, 1]),
        predictions=np.array([0, 1, 1]),
    )
    plot = boundary(record, ("yin", "yang", "dot"))
    plane, mistakes = plot.figure.data
    np.testing.assert_array_equal(plane.z, [[0, 1, 2], [2, np.nan, 0]])
    assert plane.customdata[0, 2] == "dot"
    np.testing.assert_allclose((mistakes.x, mistakes.y), ([0.9], [0.2]))
    assert list(mistakes.text) == ["dot taken for yang"]
    assert "1 point of 3 taken wrongly" in plot.caption
    with pytest.raises(ShapeError, match=r"one class for each of \(y, x\) = \(2, 3\)"):
        boundary(replace(record, chosen=np.zeros((3, 2))), ())


def test_a_membrane_shows_the_samples_of_a_chip_beside_the_software() -> None:
    v, chip = np.linspace(0, 1, 6)[:, None], np.array([0, np.nan, 3, np.nan, -2, np.nan])[:, None]
    plot = membrane("1_lif", Membrane(v=v, against=chip), clock(1e-3, 6))
    software, samples, _ = plot.figure.data
    np.testing.assert_allclose(software.y, v[:, 0])
    np.testing.assert_allclose((samples.x, samples.y), ([0, 2, 4], [0, 3, -2]))
    low, high = plot.figure.layout.yaxis.range
    assert low < -2
    assert high > 3
    with pytest.raises(ShapeError, match="against must be of shape"):
        membrane("1_lif", Membrane(v=v, against=chip[:4]), clock(1e-3, 6))


def test_stages_are_listed_in_order_with_their_accuracy() -> None:
    stages = (
        Stage(name="software", accuracy=0.974, loss=0.1),
        Stage(name="on the chip", accuracy=0.9, note="as trained"),
    )
    found = next(s for s in sections(ReportData(title="x", stages=stages)) if s.anchor == "stages")
    assert found.table is not None
    names, accuracies = [row[0] for row in found.table.rows], [row[1] for row in found.table.rows]
    assert names == ["software", "on the chip"]
    assert [value.split()[0] for value in accuracies] == ["97.4", "90"]


def curve(**lines: Line) -> Curve:
    return Curve(title="Accuracy", x="steps", y="test accuracy, %", lines=lines, logarithmic=True)


def test_a_measured_curve_has_its_points_its_spread_and_a_level_across() -> None:
    ours = Line(x=(4.0, 8.0, 32.0), y=(80.0, 90.0, 95.0), spread=(1.0, 0.5, 0.1))
    plot = measured(curve(ours=ours, ANN=Line(y=(96.0,))))
    points, level = plot.figure.data
    np.testing.assert_array_equal(points.x, [4, 8, 32])
    np.testing.assert_array_equal(points.y, [80, 90, 95])
    assert list(points.error_y.array) == [1.0, 0.5, 0.1]
    assert (list(level.x), list(level.y)) == ([4, 32], [96, 96])
    axis = plot.figure.layout.xaxis
    assert (axis.type, list(axis.ticktext)) == ("log", ["4", "8", "32"])


@pytest.mark.parametrize(
    "line", [Line(x=(1.0, 2.0), y=(1.0,)), Line(x=(1.0,), y=(1.0,), spread=(1.0, 1.0)), Line(y=())]
)
def test_a_measured_line_of_unequal_lengths_is_refused(line: Line) -> None:
    with pytest.raises(ShapeError, match="must have as many x as y and spread"):
        measured(curve(ours=line))


def test_goals_and_measured_curves_come_first() -> None:
    goal = Goal(metric="accuracy, %", wanted="≥ 97", source="a paper", ours="96.00", met=False)
    data = ReportData(title="", goals=[goal], measured=[curve(ours=Line(x=(1.0,), y=(2.0,)))])
    goals, curves_, *_ = sections(data)
    assert goals.table is not None
    assert goals.table.rows == [("accuracy, %", "≥ 97", "a paper", "96.00", "no")]
    assert [plot.title for plot in curves_.plots] == ["Accuracy"]
