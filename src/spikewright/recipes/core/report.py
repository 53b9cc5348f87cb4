"""The report of a run: what it did, collected for the page."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from spikewright.borrow import streams_kept
from spikewright.coding import SpikeTimes
from spikewright.engine.forward import Observation
from spikewright.learning import Batch, CreditReport, diagnose, doctor
from spikewright.learning.doctor import can_examine
from spikewright.learning.event_rule import EventRule
from spikewright.learning.rule import BeforeEvaluation, Starts
from spikewright.network import Network, NetworkState, Run
from spikewright.recipes.core import hardware
from spikewright.recipes.core.exact_run import is_exact, run_exactly, shown_dt
from spikewright.recipes.core.run import Outcome
from spikewright.recipes.core.sweep import Values, curves, single
from spikewright.report import (
    Boundary,
    Compiled,
    Credit,
    LayerRow,
    Listing,
    Membrane,
    Report,
    ReportData,
    Sample,
    Stage,
    Summary,
    Weights,
    environment,
)
from spikewright.report.text import number

Observations = Mapping[str, Observation]
RATE_SAMPLES = 256
CREDIT_SAMPLES = 64
SHOWN_SAMPLES = 4
SHOWN_NEURONS = 256


def make_report(outcome: Outcome, explored: Values | None = None) -> Report:
    """The page that shows a finished run.

    Args:
        explored: what `Recipe.explore` found; left out, it is called here.
    """
    parts = outcome.parts
    explored = parts.recipe.explore(outcome) if explored is None else explored
    run, advice = _run_test(outcome)
    credit = _credit(outcome)
    rates = _rates(run)
    metrics = outcome.test.metrics
    record = {"kind": "test", "epoch": outcome.fit.epochs, **metrics}
    return Report(
        ReportData(
            title=parts.recipe.title,
            subtitle=_describe(parts.network),
            created=time.strftime("%Y-%m-%d %H:%M"),
            dt=parts.network.dt,
            classes=parts.data.classes,
            summary=_summary(outcome, run),
            warnings=[*outcome.fit.warnings, *advice, *_event_advice(credit)],
            measured=curves(parts.recipe.sweeps, [explored]),
            listings=_besides(single(parts.recipe.sweeps, explored)),
            curves=[*outcome.fit.history, record],
            stages=[_stage(stage) for stage in outcome.stages],
            boundaries=_boundaries(outcome),
            program=_program(outcome),
            samples=_samples(outcome),
            rates={name: values.numpy() for name, values in rates.items()},
            confusion=None if outcome.test.confusion is None else outcome.test.confusion.numpy(),
            credit=None if credit is None else _profile(credit),
            weights=_weights(outcome),
            layers=_layers(parts.network, rates),
            settings={"recipe": parts.recipe.name, **parts.settings.model_dump()},
            environment=environment(),
        )
    )


def _besides(values: Values) -> list[Listing]:
    """What was measured besides accuracy and loss."""
    if not values:
        return []
    rows = [(name, number(value, 4)) for name, value in values.items()]
    return [Listing(title="Measured besides", head=("what", "value"), rows=rows, numeric=(1,))]


def _run_test(outcome: Outcome) -> tuple[Run, tuple[str, ...]]:
    """A run on the first test samples, and the doctor's advice on them."""
    split, network = outcome.parts.data.test, outcome.parts.network
    index = torch.arange(min(RATE_SAMPLES, len(split)))
    x, y = split.batch(index, _stream(outcome))
    rule = outcome.parts.rule
    if isinstance(x, SpikeTimes) and is_exact(rule, network):
        return run_exactly(rule, network, x, network.dt), ()
    x = network.to_floating(x)
    with torch.no_grad():
        run = network.run(x, _start(outcome, x))
    if not can_examine(rule):
        return run, ()
    return run, doctor(network, (x, y), rule, outcome.fit.rule_state).advice


def _credit(outcome: Outcome) -> CreditReport | None:
    """Where in the trial the loss credits spikes, of rules that follow events."""
    rule, split = outcome.parts.rule, outcome.parts.data.test
    if not isinstance(rule, EventRule):
        return None
    index = torch.arange(min(CREDIT_SAMPLES, len(split)))
    x, y = split.batch(index, _stream(outcome))
    return diagnose(rule, outcome.parts.network, (x, y), outcome.fit.rule_state)


def _event_advice(credit: CreditReport | None) -> list[str]:
    return (
        [] if credit is None else [line for flow in credit.layers for line in credit.advise(flow)]
    )


def _profile(credit: CreditReport) -> Credit:
    return Credit(
        edges=credit.edges.numpy(),
        layers={flow.name: flow.credit.numpy() for flow in credit.layers},
        loss=credit.loss,
    )


def _stream(outcome: Outcome) -> torch.Generator:
    return torch.Generator().manual_seed(outcome.parts.settings.seed)


def _describe(network: Network) -> str:
    sizes = [str(size) for size in network.shape or ()]
    text = f"Input {' × '.join(sizes)}"
    for layer in network.layers.values():
        text += f" → {type(layer).__name__}"
        text += f"({layer.output_shape(layer.shape or ())[0]})" if _is_wide(layer) else ""
    return text


def _is_wide(layer: Any) -> bool:
    """Whether the layer is one of neurons, the size of which is worth telling."""
    return hasattr(_neurons(layer), "params")


def _neurons(layer: Any) -> Any:
    """The neurons of a layer, also of one that is recurrent."""
    return getattr(layer, "neuron", layer)


def _stage(stage: hardware.Stage) -> Stage:
    metrics = stage.test.metrics
    loss = metrics.get("loss")
    return Stage(name=stage.name, accuracy=metrics["accuracy"], loss=loss, note=stage.note)


def _program(outcome: Outcome) -> Compiled | None:
    """What the compiler says of the program of the last stage."""
    program = outcome.stages[-1].program if outcome.stages else None
    return None if program is None else program.report().data.program


def _boundaries(outcome: Outcome) -> list[Boundary]:
    """The choices of each stage over the recipe's plane."""
    parts = outcome.parts
    plane = parts.recipe.plane(parts.data, parts.settings)
    if plane is None:
        return []
    found: list[Boundary] = []
    for stage in outcome.stages or [_in_software(outcome, plane)]:
        if stage.choices is None or stage.test.predictions is None:
            continue
        chosen = torch.full(plane.inside.shape, -1)
        chosen[plane.inside] = stage.choices
        found.append(
            Boundary(
                name=stage.name,
                x=plane.x.numpy(),
                y=plane.y.numpy(),
                chosen=chosen.numpy(),
                points=plane.points.numpy(),
                targets=parts.data.test.targets.numpy(),
                predictions=stage.test.predictions.numpy(),
            )
        )
    return found


def _in_software(outcome: Outcome, plane: hardware.Plane) -> hardware.Stage:
    """The trained network of a recipe that deploys nowhere."""
    parts = outcome.parts
    examiner = hardware.Examiner(
        parts.network, parts.data, parts.rule, outcome.fit.rule_state, parts.settings.seed, plane
    )
    return examiner.stage("Trained", "")


def _summary(outcome: Outcome, run: Run) -> Summary:
    metrics, network = outcome.test.metrics, outcome.parts.network
    spikes = [record["spikes"] for record in run.records.values() if "spikes" in record]
    total = sum(s.numel() for s in spikes)
    count = sum(float(s.sum()) for s in spikes)
    return Summary(
        accuracy=metrics.get("accuracy"),
        loss=metrics.get("loss"),
        seconds=outcome.fit.seconds,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        spikes_per_inference=count / run.output.shape[1] if spikes else None,
        firing_rate=count / total if spikes else None,
    )


def _rates(run: Run) -> dict[str, Tensor]:
    """Spikes per neuron and step by layer, each (neurons,)."""
    return {
        name: record["spikes"].mean((0, 1)).flatten()
        for name, record in run.records.items()
        if "spikes" in record
    }


def _layers(network: Network, rates: dict[str, Tensor]) -> list[LayerRow]:
    return [
        LayerRow(
            name=name,
            kind=type(layer).__name__,
            parameters=sum(p.numel() for p in layer.parameters() if p.requires_grad),
            shape=layer.output_shape(layer.shape or ()),
            rate=float(rates[name].mean()) if name in rates else None,
        )
        for name, layer in network.layers.items()
    ]


def _weights(outcome: Outcome) -> dict[str, Weights]:
    """Weights of all connections, before training and now."""
    found: dict[str, Weights] = {}
    for name, after in outcome.parts.network.state_dict().items():
        before = outcome.parts.first_weights.get(name)
        if name.rpartition(".")[2] == "weight" and after.dim() > 1 and before is not None:
            label = name.removeprefix("nodes.").removesuffix(".weight")
            found[label] = Weights(
                after=after.numpy(), before=before.numpy(), picture=_picture(outcome, after)
            )
    return found


def _picture(outcome: Outcome, weights: Tensor) -> tuple[int, int] | None:
    """Rows and columns that the inputs of a connection fill, if the recipe's are a picture."""
    picture = outcome.parts.recipe.picture
    return picture if picture and weights.shape[1:] == (math.prod(picture),) else None


def _samples(outcome: Outcome) -> list[Sample]:
    """The first test sample of each class, of the first few classes that there are.

    None where a sample is one step: there is nothing to draw over time.
    """
    parts = outcome.parts
    split = parts.data.test
    shown = split.targets.unique()[:SHOWN_SAMPLES]
    index = torch.stack([(split.targets == number).nonzero()[0, 0] for number in shown])
    given, y = split.batch(index, _stream(outcome))
    if isinstance(given, Tensor) and len(given) == 1:
        return []
    run, x, dt = _run_samples(outcome, given)
    with torch.no_grad():
        answers = parts.rule.evaluate(parts.network, Batch(given, y), outcome.fit.rule_state)
        observed = _observed(outcome, x)
    chosen = answers.get("predictions")
    return [
        replace(
            _sample(outcome, (run, observed), x, column, (int(y[column]), _maybe(chosen, column))),
            dt=dt,
        )
        for column in range(len(index))
    ]


def _run_samples(outcome: Outcome, given: Tensor | SpikeTimes) -> tuple[Run, Tensor, float]:
    """What the network did with samples, these as they are drawn, and the time step of both, s."""
    network, rule = outcome.parts.network, outcome.parts.rule
    if isinstance(given, SpikeTimes) and is_exact(rule, network):
        dt = shown_dt(given, network.dt)
        return run_exactly(rule, network, given, dt, potential=True), given.raster(dt), dt
    x = network.to_floating(given)
    known = (getattr(layer, "field_names", tuple)() for layer in network.layers.values())
    potentials = any("v" in fields for fields in known)  # a folded module has none
    wanted = ("spikes", "v") if potentials else ("spikes",)
    with torch.no_grad():
        return network.run(x, _start(outcome, x), record=wanted), x, network.dt


def _start(outcome: Outcome, x: Tensor) -> NetworkState | None:
    """The state that samples start from: afresh, or what training left of it."""
    parts = outcome.parts
    if not isinstance(parts.rule, Starts):
        return None
    return parts.rule.start(parts.network, x.shape[1], outcome.fit.rule_state)


def _observed(outcome: Outcome, x: Tensor) -> Observations:
    """What the target of the last stage shows of the samples."""
    program = outcome.stages[-1].program if outcome.stages else None
    if program is None:
        return {}
    with streams_kept():
        return program.observe(outcome.parts.network, x)


def _maybe(values: Tensor | None, column: int) -> int | None:
    return None if values is None else int(values[column])


def _sample(
    outcome: Outcome,
    runs: tuple[Run, Observations],
    x: Tensor,
    column: int,
    answer: tuple[int, int | None],
) -> Sample:
    run, observed = runs
    target, prediction = answer
    # Outputs that got their classes after training are no scores of classes.
    labelled = not isinstance(outcome.parts.rule, BeforeEvaluation)
    hidden: dict[str, Any] = {}
    membranes: dict[str, Membrane] = {}
    for name, record in run.records.items():
        if "spikes" not in record:
            continue
        hidden[name] = record["spikes"][:, column].numpy()
        seen = observed.get(name)
        if seen is not None and seen.spikes is not None:
            hidden[f"{name} on the chip"] = seen.spikes[:, column].numpy()
        if "v" in record:
            layer = outcome.parts.network.layers[name]
            membranes[name] = _membrane(layer, record, column, None if seen is None else seen.v)
    return Sample(
        name=outcome.parts.data.classes[target],
        input=x[:, column].numpy(),
        hidden=hidden,
        membranes=membranes,
        readout=run.output[:, column].flatten(1).numpy() if labelled else None,
        target=target,
        prediction=prediction,
    )


def _membrane(
    layer: Any, record: dict[str, Tensor], column: int, against: Tensor | None
) -> Membrane:
    """Potentials of the neurons that spike most, with their thresholds, and those of a chip."""
    v = record["v"][:, column].flatten(1)
    spikes = record["spikes"][:, column].flatten(1)
    busy = spikes.sum(0).argsort(descending=True, stable=True)[:SHOWN_NEURONS].sort().values
    threshold: Any = getattr(_neurons(layer).params(), "v_threshold", None)
    if threshold is not None:
        threshold = threshold.detach().expand(record["v"].shape[2:]).flatten()[busy].numpy()
    return Membrane(
        v=v[:, busy].numpy(),
        spikes=spikes[:, busy].numpy(),
        threshold=threshold,
        neurons=busy.numpy(),
        against=None if against is None else against[:, column].flatten(1)[:, busy].numpy(),
    )
