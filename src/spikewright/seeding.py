"""Random numbers: streams that are a pure function of where they are used, and global state.

A counter-based stream has no state to carry: the number for (key, sample, step, neuron) is
Philox-4x32-10 of that counter, so it is the same however a run is cut into chunks of time,
batches or threads. The other half of the file seeds, saves and restores the stateful generators
of Python, NumPy and PyTorch.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from spikewright.errors import CheckpointError, ParameterError, ShapeError

Names = int | str
StateDict = dict[str, Tensor | int | float | None]

_WORD = 2**32
_MASK = np.uint64(_WORD - 1)
_HALF = np.uint64(32)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)

# Wichura's algorithm AS 241 (1988), routine PPND16: numerators and denominators of the three
# rational functions, highest power first.
# fmt: off
_CENTRE_P = (
    2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
    45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
    133.14166789178437745, 3.387132872796366608,
)
_CENTRE_Q = (
    5226.495278852854561, 28729.085735721942674, 39307.89580009271061,
    21213.794301586595867, 5394.1960214247511077, 687.1870074920579083,
    42.313330701600911252, 1.0,
)
_MIDDLE_P = (
    7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
    1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
    4.6303378461565452959, 1.42343711074968357734,
)
_MIDDLE_Q = (
    1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
    0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
    2.05319162663775882187, 1.0,
)
_TAIL_P = (
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
    0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
    5.4637849111641143699, 6.6579046435011037772,
)
_TAIL_Q = (
    2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
    7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
    0.59983220655588793769, 1.0,
)
# fmt: on


def derive(key: int, *names: Names) -> int:
    """A new key from ``key`` and names: stable over versions, machines and processes.

    The first 63 bits of BLAKE2b over the JSON text of the arguments, so that it fits an int64
    tensor, JSON and ``torch.Generator.manual_seed``.

    Args:
        key: a seed or an earlier key.
        names: what the key is for, for example the name of a layer and ``"noise"``.

    >>> derive(1, "2_lif", "noise")
    6415670187129083171
    >>> derive(1, "2") == derive(1, 2)
    False
    """
    text = json.dumps([key, *names])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(key: int, *names: Names, device: torch.device | str = "cpu") -> torch.Generator:
    """A ``torch.Generator`` seeded with ``derive(key, *names)``.

    >>> a, b = generator(1, "epoch", 3), generator(1, "epoch", 3)
    >>> bool(torch.rand(1, generator=a) == torch.rand(1, generator=b))
    True
    """
    return torch.Generator(device).manual_seed(derive(key, *names))


def uniform(
    key: int,
    samples: Tensor,
    first_step: int,
    steps: int,
    neurons: int | tuple[int, ...],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Uniform numbers in the open interval (0, 1), one for each (key, sample, step, neuron).

    float32 holds 23 random bits and float64 52; the two are different streams.

    Args:
        key: seed of the stream, 0 to 2**64 - 1, see `derive`.
        samples: (batch,), int64: an identity for each sample, so that a row does not depend on
            the batch it is in.
        first_step: number of the first step; a run that stopped after ``k`` steps goes on at k.
        steps: how many steps.
        neurons: feature shape, or how many; numbered in row-major order.
        dtype: float32 or float64.

    Returns:
        (steps, batch, *neurons) on the device of ``samples``.

    Raises:
        ParameterError: a key, step or size outside its range.
        ShapeError: samples that are not a vector of integers, or another dtype.

    >>> whole = uniform(7, torch.arange(2), 0, 5, 3)
    >>> torch.equal(whole[2:], uniform(7, torch.arange(2), 2, 3, 3))
    True
    """
    return _draw("seeding.uniform", key, samples, (first_step, steps), neurons, dtype, False)


def normal(
    key: int,
    samples: Tensor,
    first_step: int,
    steps: int,
    neurons: int | tuple[int, ...],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Standard normal numbers, one for each (key, sample, step, neuron).

    The inverse distribution function (AS 241) of one uniform number each, evaluated in float64.
    Arguments, result and errors as `uniform`; float32 reaches 6.3 standard deviations.

    >>> normal(7, torch.tensor([0]), 0, 2, 2).shape
    torch.Size([2, 1, 2])
    """
    return _draw("seeding.normal", key, samples, (first_step, steps), neurons, dtype, True)


def _draw(
    where: str,
    key: int,
    samples: Tensor,
    span: tuple[int, int],
    neurons: int | tuple[int, ...],
    dtype: torch.dtype,
    gaussian: bool,
) -> Tensor:
    shape = (neurons,) if isinstance(neurons, int) else tuple(neurons)
    _check_draw(where, key, samples, span, shape, dtype)
    first_step, steps = span
    identities = samples.detach().to("cpu", torch.int64).numpy()
    out = torch.empty((steps, len(identities), math.prod(shape)), dtype=dtype)
    _kernel()(out.numpy(), np.uint64(key), identities.astype(np.uint64), first_step, gaussian)
    return out.reshape(steps, len(identities), *shape).to(samples.device)


def _check_draw(
    where: str,
    key: int,
    samples: Tensor,
    span: tuple[int, int],
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> None:
    if not isinstance(key, int) or not 0 <= key < _WORD**2:
        raise ParameterError(
            f"{where}: key must be an integer from 0 to 2**64 - 1, got {key!r}. "
            "Make one with seeding.derive(seed, layer)."
        )
    first_step, steps = span
    if first_step < 0 or steps < 0 or first_step + steps > _WORD:
        raise ParameterError(
            f"{where}: steps must lie between 0 and 2**32, got {steps} from step {first_step} on. "
            "Use another key for another run."
        )
    if min(shape, default=1) < 0 or math.prod(shape) > _WORD:
        raise ParameterError(
            f"{where}: neurons must be sizes from 0 to 2**32 in all, got {shape}. "
            "Pass the feature shape of the layer."
        )
    if samples.ndim != 1 or samples.dtype.is_floating_point or samples.dtype == torch.bool:
        raise ShapeError(
            f"{where}: samples must be a vector of integers, got {tuple(samples.shape)} of "
            f"{samples.dtype}. Pass torch.arange(batch) or the samples' numbers in the data set."
        )
    if dtype not in (torch.float32, torch.float64):
        raise ShapeError(
            f"{where}: dtype must be float32 or float64, got {dtype}. "
            "Draw float32 and convert the result."
        )


@numba.njit
def philox(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four 32-bit words, held in uint64, from a counter of four and a key of two."""
    for _ in range(10):
        low, high = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (high >> _HALF) ^ c1 ^ k0,
            high & _MASK,
            (low >> _HALF) ^ c3 ^ k1,
            low & _MASK,
        )
        k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


@numba.njit
def _ratio(p, q, x):  # type: ignore[no-untyped-def]
    above, below = p[0], q[0]
    for i in range(1, 8):
        above, below = above * x + p[i], below * x + q[i]
    return above / below


@numba.njit
def _quantile(u):  # type: ignore[no-untyped-def]
    """The standard normal's inverse distribution function at ``u`` in (0, 1), float64."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_CENTRE_P, _CENTRE_Q, 0.180625 - q * q)
    r = math.sqrt(-math.log(min(u, 1.0 - u)))
    x = _ratio(_MIDDLE_P, _MIDDLE_Q, r - 1.6) if r <= 5.0 else _ratio(_TAIL_P, _TAIL_Q, r - 5.0)
    return -x if q < 0.0 else x


@numba.njit
def _narrow(word, gaussian):  # type: ignore[no-untyped-def]
    if gaussian:
        return _quantile((np.float64(word) + 0.5) * 2.0**-32)
    return (np.float64(word >> np.uint64(9)) + 0.5) * 2.0**-23


@numba.njit
def _wide(first, second, gaussian):  # type: ignore[no-untyped-def]
    bits = ((first << _HALF) | second) >> np.uint64(12)
    u = (np.float64(bits) + 0.5) * 2.0**-52
    return _quantile(u) if gaussian else u


def _fill(out, key, samples, first_step, gaussian):  # type: ignore[no-untyped-def]
    """Fill (steps, batch, n); a block of the generator serves 4 float32 or 2 float64 neurons."""
    neurons = out.shape[2]
    lanes = 16 // out.itemsize
    for t in range(out.shape[0]):
        step = np.uint64(first_step + t)
        for b in range(out.shape[1]):
            row = out[t, b]
            sample = samples[b]
            for block in range((neurons + lanes - 1) // lanes):
                words = philox(
                    np.uint64(block),
                    step,
                    sample & _MASK,
                    sample >> _HALF,
                    key & _MASK,
                    key >> _HALF,
                )
                start = block * lanes
                for lane in range(min(lanes, neurons - start)):
                    if lanes == 4:
                        row[start + lane] = _narrow(words[lane], gaussian)
                    else:
                        row[start + lane] = _wide(words[2 * lane], words[2 * lane + 1], gaussian)


@functools.cache
def _kernel() -> Callable[..., None]:
    signatures = [
        f"void({kind}[:,:,::1], uint64, uint64[::1], int64, boolean)"
        for kind in ("float32", "float64")
    ]
    try:
        return numba.njit(signatures, nogil=True, cache=True)(_fill)
    except Exception:
        # No folder for the cache, or a damaged entry in it: neither may stop a run.
        return numba.njit(signatures, nogil=True)(_fill)


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy (legacy, its low 32 bits) and PyTorch.

    Args:
        seed: 0 to 2**63 - 1.

    Raises:
        ParameterError: a seed outside that range.

    >>> seed_everything(3); a = torch.rand(2)
    >>> seed_everything(3); torch.equal(a, torch.rand(2))
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ParameterError(
            f"seeding.seed_everything: seed must be an integer from 0 to 2**63 - 1, got {seed!r}. "
            "Pass for example seed=0."
        )
    random.seed(seed)
    np.random.seed(seed % _WORD)
    torch.manual_seed(seed)


def random_state() -> StateDict:
    """The state of the global generators, as uint8 tensors and plain numbers.

    Returns:
        A flat dictionary: ``python.words``, ``python.gauss``, ``numpy.words``,
        ``numpy.position``, ``numpy.has_gauss``, ``numpy.gauss``, ``torch`` and, where CUDA is in
        use, ``cuda.0``, ``cuda.1`` ... Its numbers survive JSON, its tensors safetensors.

    >>> state = random_state(); a = torch.rand(2)
    >>> restore_random_state(state); torch.equal(a, torch.rand(2))
    True
    """
    _, words, gauss = random.getstate()
    legacy: Any = np.random.get_state(legacy=False)
    if legacy["bit_generator"] != "MT19937":
        raise ParameterError(
            "seeding.random_state: NumPy's global generator must be MT19937, got "
            f"{legacy['bit_generator']}. Keep other bit generators in np.random.Generator objects."
        )
    state: StateDict = {
        "python.words": _to_bytes(words),
        "python.gauss": gauss,
        "numpy.words": _to_bytes(legacy["state"]["key"]),
        "numpy.position": int(legacy["state"]["pos"]),
        "numpy.has_gauss": int(legacy["has_gauss"]),
        "numpy.gauss": float(legacy["gauss"]),
        "torch": torch.get_rng_state(),
    }
    # Asking an idle CUDA for its state would start it on every device.
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for device, cuda in enumerate(torch.cuda.get_rng_state_all()):
            state[f"cuda.{device}"] = cuda
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put back what `random_state` returned; nothing changes unless all of it is sound.

    The state of a GPU that this machine lacks is left out: its numbers cannot be drawn here.

    Args:
        state: the dictionary, also after a way through JSON and safetensors.

    Raises:
        CheckpointError: an entry is missing or damaged.
    """
    words = tuple(_from_bytes(state, "python.words", 625))
    numpy_words = np.array(_from_bytes(state, "numpy.words", 624), dtype=np.uint32)
    position = _number(state, "numpy.position", lambda x: isinstance(x, int) and 0 <= x <= 624)
    has_gauss = _number(state, "numpy.has_gauss", lambda x: x in (0, 1))
    numpy_gauss = _number(state, "numpy.gauss", _is_finite)
    gauss = _number(state, "python.gauss", lambda x: x is None or _is_finite(x))
    _number({"python.position": words[-1]}, "python.position", lambda x: x <= 624)
    cpu = _bytes(state, "torch", torch.get_rng_state().numel())
    cuda = {
        device: _bytes(state, f"cuda.{device}", None)
        for device in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
        if f"cuda.{device}" in state
    }
    random.setstate((3, words, gauss))
    np.random.set_state(("MT19937", numpy_words, position, has_gauss, numpy_gauss))
    torch.set_rng_state(cpu)
    for device, saved in cuda.items():
        torch.cuda.set_rng_state(saved, device)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _to_bytes(words: Any) -> Tensor:
    return torch.from_numpy(np.asarray(words, dtype="<u4").view(np.uint8).copy())


def _from_bytes(state: Mapping[str, Any], name: str, count: int) -> list[int]:
    saved = np.ascontiguousarray(_bytes(state, name, 4 * count).numpy())
    return saved.view("<u4").tolist()


def _bytes(state: Mapping[str, Any], name: str, size: int | None) -> Tensor:
    saved = state.get(name)
    if (
        not isinstance(saved, Tensor)
        or saved.dtype != torch.uint8
        or saved.ndim != 1
        or size not in (None, saved.numel())
    ):
        amount = "bytes" if size is None else f"{size:,} bytes"
        got = f"{tuple(saved.shape)} of {saved.dtype}" if isinstance(saved, Tensor) else repr(saved)
        raise _damaged(name, f"a uint8 tensor of {amount}", got)
    return saved.cpu()


def _number(state: Mapping[str, Any], name: str, valid: Callable[[Any], bool]) -> Any:
    value = state.get(name)
    if not valid(value):
        raise _damaged(name, "a number as random_state gave it", repr(value))
    return value


def _damaged(name: str, rule: str, got: str) -> CheckpointError:
    return CheckpointError(
        f"seeding.restore_random_state: {name!r} must be {rule}, got {got}. "
        "The saved state is damaged or of another version; resume from an earlier checkpoint."
    )
