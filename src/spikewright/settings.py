"""Settings: declared once as a class, filled from TOML files and flags, checked before use.

An unknown key or a wrong value is an error that says where it came from and what was meant.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from spikewright.errors import SettingsError, nearest

Location = tuple[str | int, ...]


class Settings(BaseModel):
    """Base of all settings: no unknown keys, no conversions, no change once made.

    A string under a field is its description, which `to_toml` writes beside the value.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


Kind = TypeVar("Kind", bound=Settings)


@dataclass(frozen=True)
class Source:
    """Values from one place; ``name`` says which in messages."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_toml(path: str | Path) -> Source:
    """The settings of a TOML file.

    Raises:
        SettingsError: the file cannot be read or is not TOML.
    """
    try:
        return Source(str(path), tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as cause:
        reason = cause.strerror or cause
        raise SettingsError(
            f"settings: {path} must be a readable file, got {reason}. Check the path."
        ) from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise SettingsError(
            f"settings: {path} must be TOML, got {cause}. Correct the file."
        ) from cause


def read_assignment(text: str) -> Source:
    """The setting in ``key=value``; dots nest, and values are TOML, bare words or ``none``.

    Raises:
        SettingsError: there is no ``=`` or no key.

    >>> read_assignment("rule.width=0.1").values, read_assignment("order=held").values
    ({'rule': {'width': 0.1}}, {'order': 'held'})
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals):
        raise SettingsError(
            f"settings: --set must be followed by key=value, got {text!r}. "
            "Pass for example --set epochs=20."
        )
    values: Any = _parse_value(value)
    for part in reversed(key.split(".")):
        values = {part: values}
    return Source("--set", values)


def _parse_value(text: str) -> Any:
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def make(kind: type[Kind], sources: Sequence[Source] = ()) -> Kind:
    """Settings of a kind: its defaults, and on top the sources, later ones over earlier ones.

    Raises:
        SettingsError: a key is unknown (the nearest is named) or a value is wrong; says where
            it came from.

    >>> class Training(Settings):
    ...     epochs: int = 10
    >>> make(Training, [Source("a.toml", {"epochs": 3})]).epochs
    3
    >>> make(Training, [Source("a.toml", {"epoch": 3})])
    Traceback (most recent call last):
    spikewright.errors.SettingsError: settings: key in a.toml must be a known setting, got
    'epoch'. Did you mean 'epochs'?
    """
    merged: dict[str, Any] = {}
    for source in sources:
        merged = _merge(merged, source.values)
    try:
        # As JSON, so that lists serve as tuples while nothing else is converted.
        return kind.model_validate_json(json.dumps(merged, default=str), strict=True)
    except ValidationError as cause:
        raise SettingsError(_explain(kind, sources, dict(cause.errors()[0]))) from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        before: Any = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(before, value) if both else value
    return merged


def _explain(kind: type[Settings], sources: Sequence[Source], error: dict[str, Any]) -> str:
    location: Location = error["loc"]
    place = next((s.name for s in reversed(sources) if _holds(s.values, location)), "the defaults")
    key = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        known = _keys_at(kind, location[:-1])
        return (
            f"settings: key in {place} must be a known setting, got {key!r}. "
            f"{nearest(str(location[-1]), known)}"
        )
    rule = re.sub(r"^(Input should|Value error,|Assertion failed,) ?", "", error["msg"])
    rule = rule if rule.startswith("be ") else f"be right: {rule}"
    shown = f"{key} in {place}" if key else "settings"
    return f"settings: {shown} must {rule}, got {error['input']!r}. Change it there."


def _holds(values: Any, location: Location) -> bool:
    for key in location:
        if not isinstance(values, Mapping) or key not in values:
            return isinstance(key, int)
        values = values[key]
    return True


def _keys_at(kind: type[BaseModel], location: Location) -> list[str]:
    for key in location:
        inner = kind.model_fields[str(key)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        kind = inner
    return list(kind.model_fields)


def to_toml(settings: BaseModel, prefix: str = "") -> str:
    """Settings as a TOML file that gives them again, each with its description.

    >>> class Training(Settings):
    ...     epochs: int = 10
    ...     name: str = "first"
    >>> print(to_toml(Training()), end="")
    epochs = 10
    name = "first"
    """
    lines: list[str] = []
    sections: list[str] = []
    for name, declared in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            head = f"{prefix}{name}"
            sections.append(f"\n[{head}]\n{to_toml(value, f'{head}.')}")
            continue
        text = f"# {name} is not set" if value is None else f"{name} = {_toml(value)}"
        note = (declared.description or "").replace("\n", " ")
        lines.append(f"{text}{' ' * max(2, 30 - len(text))}# {note}" if note else text)
    return "".join(f"{line}\n" for line in lines) + "".join(sections)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, bool | str | int):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
