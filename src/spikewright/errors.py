"""Every error the package raises on purpose.

```
SpikewrightError
├── ParameterError     (ValueError)    a physical parameter or an option is outside its range
├── ShapeError         (ValueError)    rank, sizes, dtype or values of a tensor do not fit
├── NetworkError       (ValueError)    layers that cannot be joined
├── BackendError       (RuntimeError)  the engine asked for cannot run this
│   └── TraceError                     a step function that cannot be compiled
├── RuleError          (ValueError)    a learning rule that cannot train this network
├── EventError         (RuntimeError)  spikes at exact times that cannot be worked out
├── DataError          (RuntimeError)  a data file is missing, damaged or cannot be fetched
├── OutOfMemory        (MemoryError)   a training step does not fit into memory
├── ExchangeError      (ValueError)    a graph in an exchange format cannot be read or written
├── CompileError       (ValueError)    a network that a target cannot hold, or does not run well
├── ProgramError       (RuntimeError)  a compiled program cannot be written, read or run
├── DeviceError        (RuntimeError)  a device does not answer, or refuses
├── CheckpointError    (RuntimeError)  a checkpoint cannot be written or read
├── SettingsError      (ValueError)    a setting is unknown or has a wrong value
└── MissingDependency  (ImportError)   an optional package is not installed
```

Messages have one form: ``<where>: <what> must be <rule>, got <value>. <How to fix.>``
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpikewrightError(Exception):
    """Base of every error raised on purpose."""


class ParameterError(SpikewrightError, ValueError):
    """A physical parameter or an option is outside its range."""


class ShapeError(SpikewrightError, ValueError):
    """Rank, sizes, dtype or values of a tensor do not fit."""


class NetworkError(SpikewrightError, ValueError):
    """Layers that cannot be joined."""


class BackendError(SpikewrightError, RuntimeError):
    """The engine asked for cannot run this."""


class TraceError(BackendError):
    """A step function that cannot be compiled."""


class RuleError(SpikewrightError, ValueError):
    """A learning rule that cannot train this network."""


class EventError(SpikewrightError, RuntimeError):
    """Spikes at exact times that cannot be worked out: a neuron fires without end."""


class DataError(SpikewrightError, RuntimeError):
    """A data file is missing, damaged or cannot be fetched."""


class OutOfMemory(SpikewrightError, MemoryError):
    """A training step does not fit into memory."""


class ExchangeError(SpikewrightError, ValueError):
    """A graph in an exchange format cannot be read or written."""


class CompileError(SpikewrightError, ValueError):
    """A network that a target cannot hold, or that does not run well on it."""


class ProgramError(SpikewrightError, RuntimeError):
    """A compiled program cannot be written, read or run."""


class DeviceError(SpikewrightError, RuntimeError):
    """A device does not answer, or refuses."""


class CheckpointError(SpikewrightError, RuntimeError):
    """A checkpoint cannot be written or read."""


class SettingsError(SpikewrightError, ValueError):
    """A setting is unknown or has a wrong value."""


class MissingDependency(SpikewrightError, ImportError):
    """An optional package is not installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known word nearest to ``name``, or lists them all.

    >>> nearest("tau_men", ["tau_mem", "v_reset"])
    "Did you mean 'tau_mem'?"
    >>> nearest("xyz", ["tau_mem", "v_reset"])
    'Known: tau_mem, v_reset.'
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known)}." if known else "None is known."
