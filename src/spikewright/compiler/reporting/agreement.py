"""How a program behaves in floating numbers, with the target's numbers, and on the target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from spikewright.compiler.reporting.table import share, text_table, whole
from spikewright.compiler.software.observe import handed_on
from spikewright.engine.forward import Observation
from spikewright.errors import CompileError, nearest

Observations = Mapping[str, Observation]


@dataclass(frozen=True)
class Difference:
    """How one run of a layer differs from another; ``None`` where it was not seen.

    Args:
        rate_error: sum over neurons of |difference of their spike counts| / all spikes of the
            reference.
        first_step: the first step at which a spike differs, in any sample.
        differing: share of the spikes of both runs that the other one has not.
        membrane_error: root mean square of the difference / that of the reference, of the
            membrane, where both were seen.
    """

    rate_error: float | None = None
    first_step: int | None = None
    differing: float | None = None
    membrane_error: float | None = None


@dataclass(frozen=True)
class LayerAgreement:
    """One layer in the three runs: float, quantised, artefact.

    Args:
        layer: name; neurons: how many outputs it has; spiking: whether those are spikes.
        spikes: spikes over the whole sample in the three runs; ``None`` where not seen.
        quantised, artefact: against float. twin: the artefact against the quantised program.
        silent: neurons without a spike in the whole sample, in the three runs.
        saturated: neurons that in some sample fire all they can at every step, likewise.
        saturations: values of the artefact that left their range.
    """

    layer: str
    neurons: int
    spiking: bool
    spikes: tuple[int | None, int | None, int | None]
    quantised: Difference
    artefact: Difference
    twin: Difference
    silent: tuple[int | None, int | None, int | None]
    saturated: tuple[int | None, int | None, int | None]
    saturations: int = 0

    @property
    def went_silent(self) -> bool:
        """Whether the layer fires in floating numbers and not at all on the target."""
        return bool(self.spikes[0]) and self.spikes[2] == 0


@dataclass(frozen=True)
class Agreement:
    """The calibration sample through float, quantised and artefact.

    Args:
        samples, steps: size of the sample.
        layers: in the order in which they run.
        same_answer: share of samples with the same largest output as in floating numbers, of the
            quantised program and of the artefact; a readout counts by its maximum over time,
            spikes by their number.
    """

    samples: int
    steps: int
    layers: tuple[LayerAgreement, ...]
    same_answer: tuple[float, float]

    def __str__(self) -> str:
        rows = [_row(layer) for layer in self.layers]
        first, second = map(share, self.same_answer)
        return (
            f"agreement on {self.samples:,} samples of {self.steps:,} steps; same answer as in "
            f"float: quantised {first}, artefact {second}\n{text_table(HEAD, rows)}"
        )

    def plain(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Agreement:
        """The inverse of `plain`."""
        layers = tuple(_layer_from(layer) for layer in values["layers"])
        first, second = values["same_answer"]
        return Agreement(values["samples"], values["steps"], layers, (first, second))


HEAD = (
    "layer", "neurons", "spikes", "quantised", "artefact", "rate error", "(artefact)",
    "first step", "differing", "membrane", "saturations", "silent", "saturated",
)  # fmt: skip


def _row(layer: LayerAgreement) -> tuple[str, ...]:
    return (
        layer.layer,
        whole(layer.neurons),
        *map(whole, layer.spikes),
        share(layer.quantised.rate_error),
        share(layer.artefact.rate_error),
        whole(layer.artefact.first_step),
        share(layer.artefact.differing),
        share(layer.artefact.membrane_error),
        whole(layer.saturations),
        _change(layer.silent),
        _change(layer.saturated),
    )


def _change(counts: tuple[int | None, ...]) -> str:
    """From float to artefact."""
    if counts[0] is None or counts[2] is None:
        return "–"
    return f"{counts[0]:,}" if counts[0] == counts[2] else f"{counts[0]:,} → {counts[2]:,}"


def _layer_from(values: Mapping[str, Any]) -> LayerAgreement:
    made: dict[str, Any] = dict(values)
    differences = ("quantised", "artefact", "twin")
    triples = ("spikes", "silent", "saturated")
    made |= {name: Difference(**values[name]) for name in differences}
    made |= {name: tuple(values[name]) for name in triples}
    return LayerAgreement(**made)


def agree(
    runs: tuple[Observations, Observations, Observations],
    output: str,
    most: Mapping[str, int],
    saturations: Mapping[str, int],
) -> Agreement:
    """Compare three runs of the same sample: float, quantised, artefact.

    Args:
        runs: what was seen of each layer; the first run says which layers there are.
        output: the layer that gives the output.
        most: for each spiking layer, how many spikes a neuron can fire in a step.
        saturations: of the artefact, by layer.
    """
    layers = tuple(
        _layer(name, (runs[0][name], runs[1].get(name), runs[2].get(name)), most, saturations)
        for name in runs[0]
    )
    reference = _answer(runs[0][output])
    first, second = (float((_answer(run[output]) == reference).double().mean()) for run in runs[1:])
    steps, samples = handed_on(runs[0][output]).shape[:2]
    return Agreement(samples, steps, layers, (first, second))


def check_alive(agreement: Agreement, allow_silent: Collection[str]) -> None:
    """Raise CompileError for layers that went silent on the target and may not.

    Raises:
        CompileError: names the layers; or ``allow_silent`` names one that there is not.
    """
    names = [layer.layer for layer in agreement.layers]
    for name in allow_silent:
        if name not in names:
            raise CompileError(
                f"compile: allow_silent must name layers of neurons, got {name!r}. "
                f"{nearest(name, names)}"
            )
    dead = [it for it in agreement.layers if it.went_silent and it.layer not in allow_silent]
    if dead:
        found = ", ".join(f"{it.layer!r} (from {it.spikes[0]:,} spikes)" for it in dead)
        allowed = ", ".join(repr(it.layer) for it in dead)
        raise CompileError(
            f"compile: layers that fire in floating numbers must fire on the target, got silence "
            f"in {found}. Use more bits, method='percentile' or 'mse', or larger weights; or "
            f"allow it by name, allow_silent=[{allowed}].\n{agreement}"
        )


def _answer(observation: Observation) -> Tensor:
    """The largest output of each sample, (batch,)."""
    value = handed_on(observation).flatten(2)
    total = value.sum(0) if observation.output is None else value.amax(0)
    return total.argmax(1)


def _layer(
    name: str,
    three: tuple[Observation, Observation | None, Observation | None],
    most: Mapping[str, int],
    saturations: Mapping[str, int],
) -> LayerAgreement:
    reference, quantised, artefact = three
    spiking = reference.spikes is not None
    top = most.get(name, 1)
    return LayerAgreement(
        name,
        handed_on(reference)[0, 0].numel(),
        spiking,
        _of_spikes(three, lambda s: s.sum()),
        compare(quantised, reference),
        compare(artefact, reference),
        compare(artefact, quantised),
        _of_spikes(three, lambda s: (s.sum((0, 1)) == 0).sum()),
        _of_spikes(three, lambda s: (s >= top).all(0).any(0).sum()),
        saturations.get(name, 0),
    )


def _of_spikes(three: tuple[Observation | None, ...], count: Callable[[Tensor], Tensor]) -> Any:
    return tuple(None if it is None or it.spikes is None else int(count(it.spikes)) for it in three)


def compare(run: Observation | None, reference: Observation | None) -> Difference:
    """How ``run`` differs from ``reference``; see `Difference`."""
    if run is None or reference is None:
        return Difference()
    membrane = _membrane_error(_potential(run), _potential(reference))
    if run.spikes is None or reference.spikes is None:
        return Difference(membrane_error=membrane)
    return Difference(*_spike_differences(run.spikes, reference.spikes), membrane)


def _spike_differences(spikes: Tensor, reference: Tensor) -> tuple[float | None, int | None, float]:
    apart = (spikes - reference).abs()
    total, both = float(reference.sum()), float(reference.sum() + spikes.sum())
    counts = (spikes.sum((0, 1)) - reference.sum((0, 1))).abs()
    steps = apart.flatten(1).any(1).nonzero()
    rate = float(counts.sum()) / total if total else (None if both else 0.0)
    return rate, int(steps[0]) if len(steps) else None, float(apart.sum()) / both if both else 0.0


def _potential(observation: Observation) -> Tensor | None:
    return observation.v if observation.output is None else observation.output


def _membrane_error(v: Tensor | None, reference: Tensor | None) -> float | None:
    if v is None or reference is None:
        return None
    known = ~(v.isnan() | reference.isnan())
    apart, size = (v - reference)[known].double(), reference[known].double()
    scale = float(size.square().mean().sqrt()) if len(size) else 0.0
    error = float(apart.square().mean().sqrt()) if len(apart) else 0.0
    return error / scale if scale else (None if error else 0.0)
