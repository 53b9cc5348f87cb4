"""From a network to a program for a target: the one door."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import Tensor

from spikewright.borrow import in_mode, streams_kept
from spikewright.compiler.calibration import calibration_sample
from spikewright.compiler.design import Design, Pass
from spikewright.compiler.discrete import DiscreteProgram
from spikewright.compiler.modules.compile import compile_module
from spikewright.compiler.modules.target import of_modules, of_networks
from spikewright.compiler.network_program import NetworkProgram
from spikewright.compiler.passes.discretise import discretise
from spikewright.compiler.passes.fold import Fold
from spikewright.compiler.program import Program
from spikewright.compiler.registry import get_target
from spikewright.compiler.reporting.agreement import Agreement, agree, check_alive
from spikewright.compiler.reporting.broken import refuse_broken
from spikewright.compiler.reporting.cost import Cost, measure
from spikewright.compiler.software.observe import activity, most_spikes, observe
from spikewright.compiler.target import Artefact, Target, TargetFacts, kind_of
from spikewright.compiler.verify import verify
from spikewright.errors import CompileError
from spikewright.network import Network


def compile(
    network: Any,
    target: TargetFacts | str,
    *,
    calibration: Any,
    allow_silent: Collection[str] = (),
    seed: int = 0,
    **options: Any,
) -> Program:
    """Compile a network for a target, and compare what it does there with what it does here.

    discretise -> fold -> the target's passes -> check -> lower -> agreement on the calibration
    sample. The network and the random streams are left as they were; a network without a shape
    takes that of the sample. A target of modules, such as ``"fpga"``, reads a trained
    `torch.nn.Module` instead, and gives a `ModuleProgram`.

    Args:
        network: a `spikewright.Network`, a NIR graph that this package wrote, or what
            `spikewright.import_nir` made of another one; or a module.
        target: a name, see `spikewright.targets`, or a target.
        calibration: typical inputs, (time, batch, *features), of a module (samples, *features);
            or a data set, whose first 256 training samples are taken.
        allow_silent: layers that may fall silent on the target.
        seed: of the noise of an analogue target, and of encoders that draw.
        options: of the target, where it is given by name.

    Raises:
        CompileError: the network has a layer that cannot be described, breaks limits of the
            target (all of them are named), or a layer falls silent there.

    >>> import torch, spikewright as sw
    >>> net = sw.Sequential(sw.Linear(5, 20), sw.LIF(), sw.Linear(20, 3), sw.LI(), dt=1e-3)
    >>> x = (torch.rand(50, 4, 5) < 0.3).float()
    >>> program = sw.compile(net, "simulator", calibration=x, weights=6, allow_silent=["1_lif"])
    >>> program.run(x).shape
    torch.Size([50, 4, 3])
    """
    made = _target(target, options)
    modules, networks = of_modules(made), of_networks(made)
    if modules is not None and (networks is None or not isinstance(network, Network)):
        return compile_module(network, modules, calibration, allow_silent, seed)
    if networks is None:
        raise CompileError(
            f"compile: target must take networks or modules, got {made.name!r}, which takes "
            "neither. See docs/guides/add_a_target.md."
        )
    return _compile_network(network, networks, calibration, allow_silent, seed)


def _compile_network(
    given: Any, target: Target, calibration: Any, allow_silent: Collection[str], seed: int
) -> NetworkProgram:
    network, notes = _network(given, target)
    with streams_kept(), in_mode(network, training=False):
        x = calibration_sample(calibration, network, seed)
        if network.shape is None:
            network.build(x.shape[2:])
        source = discretise(network)
        design = run_passes([Fold(), *target.passes(x)], Design(source, notes=notes))
        refuse_broken(target, target.check(design))
        artefact = target.lower(design)
        agreement, cost = examine((source, design, artefact), target, x, seed)
        check_alive(agreement, allow_silent)
        used = {name: float(value) for name, value in target.used(design).items()}
    return NetworkProgram(
        target=target,
        source=source,
        design=design,
        artefact=artefact,
        agreement=agreement,
        cost=cost,
        used=used,
        kind=kind_of(target),
        seed=seed,
    )


def run_passes(passes: Sequence[Pass], design: Design) -> Design:
    """Apply passes in order; the program is verified before the first and after each.

    Raises:
        CompileError: a program is not well formed; names the pass that made it so.
    """
    verify(design.program)
    for one in passes:
        design = one.apply(design)
        try:
            verify(design.program)
        except CompileError as cause:
            raise CompileError(f"compile: after the pass {one.name!r}: {cause}") from cause
    return design


def examine(
    made: tuple[DiscreteProgram, Design, Artefact], target: Target, x: Tensor, seed: int
) -> tuple[Agreement, Cost]:
    """Run a sample through float, quantised and artefact, and count what it takes.

    Args:
        made: the float program, the design and its artefact.
    """
    source, design, artefact = made
    wanted, quantised = observe(source, x, seed), observe(design.program, x, seed)
    shown = artefact.observe(x, seed)
    saturations = artefact.saturations()
    runs = (wanted.seen, quantised.seen, shown)
    agreement = agree(runs, source.output, most_spikes(source), saturations)
    steps, samples = x.shape[:2]
    active = activity(design.program, x, quantised.seen)
    seconds = sum(slot.seconds for slot in design.slots) or steps * source.dt
    cost = measure(design.program, active, (steps, samples), target.energy, seconds)
    return agreement, cost


def _target(target: TargetFacts | str, options: dict[str, Any]) -> TargetFacts:
    if not isinstance(target, str):
        if options:
            raise CompileError(
                f"compile: options must be given to the target itself, got {sorted(options)} "
                f"beside {type(target).__name__}. Make the target with them."
            )
        return target
    return get_target(target, **options)


def _network(given: Any, target: Target) -> tuple[Network, tuple[str, ...]]:
    """The network, and what was assumed to get it."""
    if isinstance(given, Network):
        return given, ()
    from spikewright.compiler.exchange import Imported, import_nir

    if type(given).__module__.partition(".")[0] == "nir":
        given = import_nir(given)
    if not isinstance(given, Imported):
        other = getattr(target, "modules_go_to", None)
        way = "" if other is None else f" Compile a trained module of ReLU layers for {other!r}."
        raise CompileError(
            "compile: network must be a spikewright Network or a NIR graph, got "
            f"{type(given).__name__}. Wrap layers in sw.Sequential(..., dt=...).{way}"
        )
    said = given.report.entries
    return given.network, tuple(f"NIR, {it.kind}: {it.where}: {it.what}" for it in said)
