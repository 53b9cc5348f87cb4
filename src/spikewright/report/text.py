"""Numbers and settings as people read them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

UNBROKEN = "\N{NO-BREAK SPACE}"


def number(value: float, digits: int = 3) -> str:
    """A few significant digits, large numbers whole, thousands separated.

    >>> number(0.08731239), number(1083), number(2.0), number(65432.1), number(float("nan"))
    ('0.0873', '1,083', '2', '65,432', 'not a number')
    """
    if np.isnan(value):
        return "not a number"
    if np.isfinite(value) and (abs(value) >= 1000 or float(value).is_integer()):
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:.{digits}g}"


def percent(share: float) -> str:
    """A share as a percentage.

    >>> [percent(share).split() for share in (0.97333, 0.99962, 1.0, 0.0004)]
    [['97.3', '%'], ['99.96', '%'], ['100', '%'], ['0.04', '%']]
    """
    value = 100 * share
    return f"{value:.3g}{UNBROKEN}%" if value < 99.95 else f"{value:.4g}{UNBROKEN}%"


def duration(seconds: float) -> str:
    """A wall-clock time.

    >>> duration(0.25), duration(42.31), duration(92.3), duration(7322.0)
    ('0.25 s', '42.3 s', '1 min 32 s', '2 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def counted(how_many: int, word: str, several: str = "") -> str:
    """A number with its word.

    >>> counted(1, "neuron"), counted(1200, "neuron"), counted(2, "class", "classes")
    ('1 neuron', '1,200 neurons', '2 classes')
    """
    return f"{how_many:,} {word if how_many == 1 else several or word + 's'}"


def inert(text: object) -> str:
    """Escape text for Plotly, which reads a few HTML tags in labels.

    >>> inert("<b>yin</b>")
    '&lt;b&gt;yin&lt;/b&gt;'
    """
    return html.escape(str(text), quote=False)


def short(text: str, most: int = 14) -> str:
    """Cut a long label.

    >>> short("Ankle boot"), short("a very long class name")
    ('Ankle boot', 'a very long c…')
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def class_name(classes: Any, index: int) -> str:
    """Name of a class, or its number where it has no name.

    >>> class_name(("yin", "yang"), 1), class_name((), 7)
    ('yang', 'class 7')
    """
    return str(classes[index]) if 0 <= index < len(classes) else f"class {index}"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted keys with text values.

    >>> list(flatten({"seed": 1, "rule": {"name": "surrogate", "betas": [0.9, 0.999]}}))
    [('seed', '1'), ('rule.name', 'surrogate'), ('rule.betas', '0.9, 0.999')]
    """
    for key, value in settings.items():
        nested = _as_mapping(value)
        if nested:
            yield from flatten(nested, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", setting(value)


def setting(value: Any) -> str:
    """One value of a settings table.

    >>> setting(None), setting(True), setting(6e-6), setting([]), setting("adam")
    ('none', 'yes', '6e-06', 'none', 'adam')
    """
    if value is None or (isinstance(value, dict | list | tuple) and not value):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return str(value)


def _as_mapping(value: Any) -> Mapping[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value if isinstance(value, Mapping) else {}
