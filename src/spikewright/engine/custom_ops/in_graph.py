"""A network inside a graph of ``torch.compile``.

The compiler does not read the network's Python, which looks at values and at what surrounds it.
It takes the run as one function of tensors, runs that on stand-ins, and so gets a graph of
registered operations.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
import torch._dynamo
from torch import Tensor, nn
from torch.func import functional_call

from spikewright.engine.custom_ops import structure
from spikewright.engine.custom_ops.enrolled import enrolled
from spikewright.engine.traced import is_traced
from spikewright.errors import NetworkError, SpikewrightError

_outlines: dict[int, structure.Outline] = {}
"""Of the last result of each module, or the text of its error, which the compiler would swallow."""


class Runs(Protocol):
    """A module with a method ``run(x, state, *options)``, and a number from `enrol`."""

    enrolled: int


class _Body(nn.Module):
    """``run`` as ``forward``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: Any) -> Any:
        runs: Any = self.module
        return runs.run(*arguments)


def run_in_graph(module: Runs, x: Tensor, state: Any, options: tuple[Any, ...]) -> Any:
    """``module.run(x, state, *options)`` while ``torch.compile`` reads.

    Args:
        options: numbers, words and tuples of them; those at the end may be ``None``.
    """
    layers = cast(nn.Module, module)
    tensors: dict[str, Tensor] = {}
    tensors.update({f"module.{name}": t for name, t in layers.named_parameters()})
    tensors.update({f"module.{name}": t for name, t in layers.named_buffers()})
    modes = [part.training for part in layers.modules()]
    while options and options[-1] is None:  # which the compiler does not take
        options = options[:-1]
    leaves: list[Tensor] = []
    outline = structure.take_apart(state, leaves)
    made = iter(_run(module.enrolled, modes, tensors, x, leaves, outline, options))
    after = _outline_of(module.enrolled)
    if isinstance(after, str):
        raise NetworkError(after)
    return structure.put_together(after[0], made)


@torch._dynamo.nonstrict_trace
def _run(
    number: int,
    modes: list[bool],
    tensors: dict[str, Tensor],
    x: Tensor,
    leaves: list[Tensor],
    outline: structure.Outline,
    options: Any,
) -> list[Tensor]:
    """The run itself; ``modes`` is there because another mode needs another graph."""
    try:
        structure.look_up(outline)
        state = structure.put_together(outline, iter(leaves))
        result = functional_call(_Body(enrolled(number)), tensors, (x, state, *options))
    except SpikewrightError as cause:
        if not is_traced(x):
            raise
        _outlines[number] = str(cause)
        return []
    structure.remember(result)
    made: list[Tensor] = []
    _outlines[number] = (structure.take_apart(result, made),)
    return made


@torch.compiler.assume_constant_result
def _outline_of(number: int) -> structure.Outline:
    """The outline of the last result, which is the one whose graph is being made."""
    return _outlines[number]
