"""Find the codes that make the circuits of one chip do what is wanted, by measuring it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikewright.targets.brainscales2.calibration.leak import calibrate_leak, stuck_circuits
from spikewright.targets.brainscales2.calibration.nominal import nominal, wanted_values
from spikewright.targets.brainscales2.calibration.probe import Codes, Floats, Probe
from spikewright.targets.brainscales2.calibration.refractory import calibrate_refractory
from spikewright.targets.brainscales2.calibration.reset import calibrate_reset, silent_circuits
from spikewright.targets.brainscales2.calibration.synapses import (
    SIDES,
    Side,
    Synapses,
    calibrate_synapses,
)
from spikewright.targets.brainscales2.calibration.tau_mem import calibrate_tau_mem
from spikewright.targets.brainscales2.calibration.threshold import calibrate_threshold
from spikewright.targets.brainscales2.chip import Chip
from spikewright.targets.brainscales2.settings import Settings, Wanted

Progress = Callable[[str, float], None]
_STAGES = 9


def calibrate(
    chip: Chip,
    wanted: Wanted,
    *,
    rounds: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Settings:
    """Measure a chip and return the codes with which its circuits do what is wanted.

    The chip is only seen through `Chip.run`: samples of membranes, and spikes. Adaptation, where
    it is wanted, keeps its nominal codes.

    Args:
        chip: a chip, its twin, or either behind a wire.
        wanted: what each circuit is meant to do.
        rounds: corrections of each quantity.
        seed: of the noise of a twin.
        progress: called with what is measured next and the share that is done.

    Returns:
        Codes, what was measured with them, and circuits that cannot be used, with the reason.

    Raises:
        ParameterError: something is wanted that no code reaches.
        DeviceError: the chip does not answer, or refuses.
    """
    return _Calibration(chip, wanted, rounds, seed, progress).run()


class _Calibration:
    """A calibration on its way: codes and measurements found so far."""

    def __init__(
        self, chip: Chip, wanted: Wanted, rounds: int, seed: int, progress: Progress | None
    ) -> None:
        start = nominal(wanted)
        self.wanted, self.rounds, self.progress = wanted_values(wanted), rounds, progress
        self.probe = Probe(chip, dict(start.codes), seed)
        self.measured = dict(start.measured)
        self.dead: dict[int, str] = {}
        self.stage = 0

    def run(self) -> Settings:
        self._tell("circuits that cannot be used")
        self._bury(stuck_circuits(self.probe), "its membrane does not follow its leak")
        self._bury(silent_circuits(self.probe), "it does not fire with a leak above its threshold")
        self._find("v_leak", calibrate_leak)
        self._find("v_reset", calibrate_reset)
        self._find("tau_mem", calibrate_tau_mem)
        self._find("v_threshold", calibrate_threshold)
        for side in SIDES:
            self._find_synapses(side)
        if self.wanted["refractory"].any():
            threshold = self.measured["v_threshold"]
            self._find("refractory", lambda p, w, r: calibrate_refractory(p, w, threshold, r))
        self._tell("done", 1.0)
        return Settings(self.probe.codes, self.measured, self.dead)

    def _find(
        self, name: str, search: Callable[[Probe, Floats, int], tuple[Codes, Floats]]
    ) -> None:
        self._tell(name)
        codes, measured = search(self.probe, self.wanted[name], self.rounds)
        self._keep(name, codes, measured)

    def _find_synapses(self, side: Side) -> None:
        names = f"tau_syn_{side}", f"gain_{side}"
        self._tell(f"synapses, {'excitatory' if side == 'exc' else 'inhibitory'}")
        wanted = Synapses(*(self.wanted[name] for name in names))
        tau_mem = self.measured["tau_mem"]
        codes, measured = calibrate_synapses(self.probe, side, tau_mem, wanted, self.rounds)
        for name, value in zip(names, measured, strict=True):
            self._keep(name, codes[name], value)

    def _keep(self, name: str, codes: Codes, measured: Floats) -> None:
        """Take over what was found; circuits without a measurement keep what they had."""
        lost = ~np.isfinite(measured)
        self._bury(lost, f"{name} could not be measured")
        alive = np.ones(len(codes), np.bool_)
        alive[list(self.dead)] = False
        self.probe.codes[name] = np.where(alive, codes, self.probe.codes[name])
        self.measured[name] = np.where(alive, measured, self.measured[name])

    def _bury(self, circuits: NDArray[np.bool_], reason: str) -> None:
        for circuit in np.flatnonzero(circuits).tolist():
            self.dead.setdefault(circuit, reason)

    def _tell(self, what: str, share: float | None = None) -> None:
        if self.progress is not None:
            self.progress(what, self.stage / _STAGES if share is None else share)
        self.stage += 1
