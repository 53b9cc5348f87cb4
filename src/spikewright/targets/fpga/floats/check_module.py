"""What a module must be before its operations can be read."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from spikewright.errors import CompileError


def check_module(where: str, module: nn.Module) -> None:
    """Whether it is Python's own and its weights have values.

    Raises:
        CompileError: it is scripted; or weights are on the meta device or not yet made.

    >>> check_module("here", nn.Linear(3, 2))
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise CompileError(
            f"{where}: module must be a torch.nn.Module, got {type(module).__name__}, which "
            "torch.export does not read. Pass the module that was scripted or traced."
        )
    for name, held in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(held):
            raise CompileError(
                f"{where}: weights must have values, got {name!r} of a lazy layer that has not "
                "run. Call the module on some inputs and train it first."
            )
        if held.is_meta:
            raise CompileError(
                f"{where}: weights must have values, got {name!r} on the meta device. Use "
                "module.to_empty(device='cpu') and load the trained state dict."
            )
