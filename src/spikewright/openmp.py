"""How long PyTorch's idle threads wait in a busy loop before they sleep.

By default they spin for some milliseconds after each parallel operation and so take a core from
the engine's threads and from other programs: on two cores a fused kernel that follows a matrix
product then takes up to twice as long. GNU OpenMP reads the limit once, when PyTorch is loaded,
so this module is imported first; it does nothing if PyTorch is there already or if the user has
chosen a value.
"""

from __future__ import annotations

import os
import sys

SPIN_VARIABLE = "GOMP_SPINCOUNT"
SPIN_COUNT = "20000"
_CHOSEN = ("OMP_WAIT_POLICY", SPIN_VARIABLE)

if "torch" not in sys.modules and not any(name in os.environ for name in _CHOSEN):
    os.environ[SPIN_VARIABLE] = SPIN_COUNT
