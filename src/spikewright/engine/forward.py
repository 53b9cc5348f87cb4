"""What may stand in the forward pass of training in place of the software: a compiled program.

A program observes a batch once, all layers in one run. The network then runs in software with
what was observed put into its forward pass, and the software's gradient behind it: see
`spikewright.neurons.extras.with_observation`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikewright.engine.layer import Layer, Shape
from spikewright.errors import BackendError, ProgramError, nearest


class Observation(NamedTuple):
    """What was seen of one layer of neurons; all fields (time, batch, *n) on the network's grid.

    Args:
        spikes: spikes of each step; ``None`` where the layer has none or they were not recorded.
        v: membrane after each step, its reset included, in the units of the model; NaN where
            there is no sample; ``None`` if the membrane was not recorded at all.
        output: what the layer hands on where that is not its spikes (the membrane of a readout),
            without gaps; ``None`` otherwise.
    """

    spikes: Tensor | None = None
    v: Tensor | None = None
    output: Tensor | None = None

    def known(self) -> dict[str, Tensor]:
        """The fields that were observed, by name."""
        fields = zip(self._fields, self, strict=True)
        return {name: value for name, value in fields if value is not None}

    def part(self, first: int, steps: int) -> Observation:
        """What was seen from step ``first`` on."""
        return Observation(**{k: x[first : first + steps] for k, x in self.known().items()})


@runtime_checkable
class ForwardProgram(Protocol):
    """A program that can stand in the forward pass of a network's training.

    What it draws at random comes from torch's global generator, whose state a checkpoint holds.
    """

    @property
    def kind(self) -> str:
        """What it runs on, in words; a training run goes on only with the same kind."""
        ...

    def observe(self, network: Any, x: Tensor) -> Mapping[str, Observation]:
        """Run a batch with the network's weights of this moment.

        Args:
            network: a `spikewright.Network` of the structure that was compiled; weights that the
                target cannot hold are brought to the nearest ones that it can, in place.
            x: (time, batch, *features).

        Returns:
            What was seen, by the names of the network's layers; layers left out were not seen.
        """
        ...


_program: ContextVar[ForwardProgram | None] = ContextVar("forward program", default=None)


@contextmanager
def forward_by(program: ForwardProgram | None) -> Iterator[None]:
    """Let ``program`` make the forward pass of the networks that run inside; ``None`` does not.

    It observes each batch once, before the network runs. ``Network.stream`` and layers that are
    called by themselves stay in software.
    """
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


def forward_program() -> ForwardProgram | None:
    """The program in force."""
    return _program.get()


def refuse_program(what: str) -> None:
    """Raise BackendError if a program is to make the forward pass, which ``what`` cannot do."""
    if forward_program() is not None:
        raise BackendError(
            "engine.forward: a network whose forward pass a program makes must run by itself, got "
            f"{what}. Call the plain network, or leave the program out."
        )


def observe(
    program: ForwardProgram, network: Any, x: Tensor, shapes: Mapping[str, Shape]
) -> dict[str, Observation]:
    """What ``program`` sees of a batch, checked, by the names of the network's layers.

    Args:
        x: (time, batch, *features).
        shapes: the feature shape of each layer's output.

    Raises:
        ProgramError: an observation is not of a layer of the network, or does not fit it.
    """
    with forward_by(None), torch.no_grad():
        found = program.observe(network, x.detach())
    seen: dict[str, Observation] = {}
    for name, observation in found.items():
        if name not in shapes:
            raise ProgramError(
                f"{type(program).__name__}: what is observed must be layers of the network, got "
                f"{name!r}. {nearest(name, shapes)}"
            )
        known = observation.known()
        if known:
            where, whole = (
                f"{type(program).__name__}: layer {name!r}",
                (*x.shape[:2], *shapes[name]),
            )
            _check_layer(where, network.layers[name], known)
            seen[name] = Observation(
                **{k: _accept(where, k, t, x, whole) for k, t in known.items()}
            )
    return seen


def _check_layer(where: str, layer: Layer, known: Mapping[str, Tensor]) -> None:
    """Raise ProgramError unless the layer can take over what was observed of it."""
    obstacle = None
    if not _takes_over(type(layer)):
        obstacle = f"{type(layer).__name__}, which is no layer of neurons"
    elif "spikes" in known and not layer.spiking:
        obstacle = f"spikes of {type(layer).__name__}, which does not spike"
    elif "v" in known and "v" not in layer.field_names():  # type: ignore[operator]
        obstacle = f"v of {type(layer).__name__}, whose state has no membrane v"
    if obstacle is not None:
        raise ProgramError(
            f"{where}: what is observed must be what its neurons have, got {obstacle}. "
            "End the network in neurons, a readout sw.LI() say, or let the program leave it out."
        )


@functools.cache
def _takes_over(kind: type[Layer]) -> bool:
    run = getattr(kind, "run", None)
    return run is not None and "seen" in inspect.signature(run).parameters


def _accept(where: str, field: str, value: Tensor, x: Tensor, shape: Shape) -> Tensor:
    """An observation as the engine takes it: of that shape, floating, where the input is."""
    if tuple(value.shape) != shape:
        raise ProgramError(
            f"{where}: {field} must be (time, batch, *n) = {shape}, got {tuple(value.shape)}. "
            "A program observes each step of its input, and no other."
        )
    value = value.to(x.device, value.dtype if value.is_floating_point() else x.dtype)
    if field != "v" and bool(value.sum().isnan()):
        raise ProgramError(
            f"{where}: {field} must be numbers at each step, got NaN. Only v may have gaps; leave "
            "out what was not recorded."
        )
    # What was made in inference mode cannot be kept for the backward pass.
    return value.clone() if value.is_inference() else value.detach()
