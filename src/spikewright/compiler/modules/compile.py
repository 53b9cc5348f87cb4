"""From a trained module to a program for a target."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from spikewright.borrow import streams_kept
from spikewright.compiler.modules.program import ModuleProgram
from spikewright.compiler.modules.sample import module_sample
from spikewright.compiler.modules.target import ModuleTarget
from spikewright.compiler.reporting.agreement import check_alive
from spikewright.compiler.reporting.broken import refuse_broken
from spikewright.compiler.target import kind_of


def compile_module(
    module: Any,
    target: ModuleTarget,
    calibration: Any,
    allow_silent: Collection[str] = (),
    seed: int = 0,
) -> ModuleProgram:
    """Read -> lower -> check -> agreement on the calibration sample; see `compile`.

    The module and the random streams are left as they were.

    Raises:
        CompileError: see `compile`.
    """
    with streams_kept(), torch.no_grad():
        sample = module_sample(calibration, seed)
        read = target.read_module(module, sample)
        artefact = target.lower_module(read)
        refuse_broken(target, target.check_module(artefact))
        agreement, cost = target.examine_module(read, artefact, sample)
        check_alive(agreement, allow_silent)
        used = {name: float(value) for name, value in target.used_module(artefact).items()}
    return ModuleProgram(
        target=target,
        artefact=artefact,
        agreement=agreement,
        cost=cost,
        used=used,
        kind=kind_of(target),
        seed=seed,
    )
