"""Plain PyTorch modules as graphs of what the accelerator knows, by way of ``torch.export``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.borrow import in_mode
from spikewright.compiler.target import Broken
from spikewright.errors import CompileError
from spikewright.network import Network
from spikewright.targets.fpga.floats.aten import read
from spikewright.targets.fpga.floats.check_module import check_module
from spikewright.targets.fpga.floats.network import FloatNetwork
from spikewright.targets.fpga.floats.reader import Reader
from spikewright.targets.fpga.floats.refuse import refuse
from spikewright.targets.fpga.integer import INPUT

WHERE = "fpga.from_module"
_SAMPLES = 2  # of one sample alone, torch.export may take the batch axis for a constant


def from_module(module: nn.Module, x: Tensor) -> FloatNetwork:
    """The graph of a trained module, in evaluation mode. The module is not changed.

    Convolutions of lines become those of images with one row. Dropout and Identity vanish.

    Args:
        module: of convolutions, linear layers, batch norms, ReLU, pooling, flattening and
            additions; for a network of `IF` neurons its ReLU twin, ``as_torch(network)``.
        x: some inputs as the module takes them, (batch, *features).

    Raises:
        CompileError: all layers that the accelerator cannot hold, each with the way out; or a
            module whose course depends on its data.

    >>> net = from_module(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.rand(5, 4))
    >>> [(stage.name, type(stage.operation).__name__) for stage in net.stages]
    [('_0', 'Dense'), ('_1', 'ReLU')]
    """
    if isinstance(module, Network):
        raise CompileError(
            f"{WHERE}: module must be a ReLU network, got a network of spiking layers. Pass "
            "spikewright.learning.proxy.as_torch(network), its ReLU twin, where it has one, or "
            'compile the network as it is for "fpga-lif".'
        )
    check_module(WHERE, module)
    exported = _exported(module, x)
    exported.graph.eliminate_dead_code()
    reader = Reader(_tensors(exported))
    for node in exported.graph.nodes:
        read(reader, node)
    refuse(WHERE, [*reader.broken, *_ends(reader)])
    return FloatNetwork(reader.shape, _needed(reader))


def _exported(module: nn.Module, x: Tensor) -> Any:
    example = torch.cat([x[:1]] * _SAMPLES).to(_device(module, x))
    with in_mode(module, training=False), torch.no_grad(), _quiet():
        try:
            return torch.export.export(module, (example,), strict=False)
        except Exception as cause:  # torch raises many kinds for what it cannot follow
            raise CompileError(
                f"{WHERE}: module must run on {tuple(x.shape)} and always take the same course, "
                f"got {type(cause).__name__}: {_first_line(cause)}. Give it inputs of its shape, "
                "and leave out `if` on values of tensors."
            ) from cause


def _device(module: nn.Module, x: Tensor) -> torch.device:
    """Where the module's weights are: data may be elsewhere, as nothing is computed here."""
    return next((held.device for held in module.parameters()), x.device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of slow operations, and logs of what becomes an error below anyway."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before = log.disabled
    log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


def _first_line(cause: Exception) -> str:
    return (str(cause).strip().splitlines() or ["no message"])[0].rstrip(".")


def _tensors(exported: Any) -> dict[str, Tensor]:
    """Parameters, buffers and constants by the names they have in the graph."""
    signature = exported.graph_signature
    held = {**exported.state_dict, **exported.constants}
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {name: held[path] for name, path in named.items()}


def _ends(reader: Reader) -> list[Broken]:
    if reader.broken or reader.output not in (None, INPUT):
        return []
    have, way = "one output that layers work out", "Return one tensor from forward."
    return [Broken("output", "output", "none or several outputs", have, way)]


def _needed(reader: Reader) -> tuple[Any, ...]:
    """The stages that the output depends on, which is the last of them."""
    needed = {reader.output}
    kept: list[Any] = []
    for stage in reversed(reader.stages):
        if stage.name in needed:
            kept.append(stage)
            needed.update(stage.inputs)
    return tuple(reversed(kept))
