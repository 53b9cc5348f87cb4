"""What happens at the threshold, in the words of a textbook: loops and ifs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """Whether and how often a neuron fires, and where its membrane is then."""

    v_threshold: float = 1.0
    v_reset: float = 0.0
    reset: str = "to_value"
    most: int = 1
    inclusive: bool = False

    def cross(self, v: float, lifted: float = 0.0) -> tuple[int, float]:
        """Spikes of a membrane at ``v`` and the membrane after them."""
        threshold = self.v_threshold + lifted
        count = 0
        while count < self.most and self._above(v, (count + 1) * threshold):
            count += 1
        if not count or self.reset == "none":
            return count, v
        if self.reset == "to_value":
            return count, self.v_reset
        return count, v - count * threshold

    def _above(self, v: float, level: float) -> bool:
        return v >= level if self.inclusive else v > level
