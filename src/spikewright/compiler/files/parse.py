"""A discrete program from its text and its tensors.

The text is data: whatever it does not know it refuses, and nothing in it is ever run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor

from spikewright.compiler import discrete
from spikewright.compiler.discrete import (
    INPUT,
    DiscreteProgram,
    Edge,
    Neurons,
    Node,
    Operation,
    Shape,
)
from spikewright.compiler.files.text import HEAD, WORDS, checksum
from spikewright.compiler.formats import Fixed, Format, Real, Spikes
from spikewright.compiler.step import Instruction, StepProgram
from spikewright.engine.products.geometry import Axis, Convolution
from spikewright.errors import ParameterError, ProgramError

_NAME = r"(\"(?:[^\"\\]|\\.)*\"|[\w./-]+)"
_SHAPE = r"\(([\d, ]*)\)"
_TENSOR = r"(?:\w+ (?:\([\d, ]*\) sha256:[0-9a-f]{16}|[^\s:]+))"
_INT = r"(\d{1,9})"
Words = tuple[Any, ...]
"""Parts of a line, each a text or, if it may be left out, ``None``."""
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
}


def parse(text: str, tensors: Mapping[str, Tensor]) -> DiscreteProgram:
    """The program that `to_text` wrote, with the tensors of `program_tensors`.

    Raises:
        ProgramError: the text is not one; names the line and what is wrong with it. Whether the
            program makes sense is for `verify` to say.

    >>> import spikewright as sw
    >>> from spikewright.compiler.passes.discretise import discretise
    >>> from spikewright.compiler.files.text import program_tensors, to_text
    >>> program = discretise(sw.Sequential(sw.Linear(5, 3), sw.LIF(), dt=1e-3).eval())
    >>> again = parse(to_text(program), program_tensors(program))
    >>> to_text(again) == to_text(program)
    True
    """
    return _Reader(text.splitlines(), tensors).program()


@dataclass
class _Reader:
    """Reads the lines one after the other."""

    lines: Sequence[str]
    tensors: Mapping[str, Tensor]
    place: int = 0
    read: int = 0
    node: str = INPUT
    formats: dict[str, Format] = field(default_factory=dict[str, Format])

    def program(self) -> DiscreteProgram:
        self.take(re.escape(HEAD))
        dt = self.number(self.take(r"dt (\S+)")[0])
        size, form = self.take(rf"{INPUT} {_SHAPE} : (.+)")
        shape, given = self.shape(size), self.format(form, INPUT)
        output = self.name(self.take(rf"output {_NAME}")[0])
        nodes: list[Node] = []
        while self.place < len(self.lines):
            self.take("")
            nodes.append(self.one())
        return DiscreteProgram(dt, shape, given, tuple(nodes), output)

    def take(self, pattern: str) -> Words:
        """The parts of the next line, which must have the form of ``pattern``."""
        found = self.peek(pattern)
        if found is None:
            self.read = self.place
            self.refuse(f"a line of the form {pattern!r}")
        self.place += 1
        return found

    def peek(self, pattern: str) -> Words | None:
        """Like `take`, or ``None`` and no step further."""
        line = self.lines[self.place] if self.place < len(self.lines) else None
        match = None if line is None else re.fullmatch(pattern, line)
        if match is None:
            return None
        self.read = self.place
        return match.groups()

    def each(self, pattern: str) -> list[Words]:
        """All next lines of a form."""
        found: list[Words] = []
        while self.peek(pattern) is not None:
            found.append(self.take(pattern))
        return found

    def refuse(self, rule: str) -> NoReturn:
        line = self.lines[self.read][:80] if self.read < len(self.lines) else "the end"
        raise ProgramError(
            f"compiler.parse: line {self.read + 1} must be {rule}, got {line!r}. "
            "The text is damaged or of another version; compile the network again."
        )

    def one(self) -> Node:
        name, kind, shape = self.take(rf"node {_NAME} : ([\w-]+) {_SHAPE}")
        self.node = self.name(name)
        edges: list[Edge] = []
        while (found := self.peek(rf"  from {_NAME}( before)? : (.+)")) is not None:
            form = self.format(found[2], f"{self.node}/from/{len(edges)}")
            edges.append(Edge(self.name(found[0]), int(bool(found[1])), form))
            self.place += 1
        if kind not in WORDS.values():
            self.refuse(f"in a node of {', '.join(WORDS.values())}")
        size = self.shape(shape)
        self.formats = {}
        operation = self.operation(kind, size)
        forms = (self.formats.get(name) for name in ("weights", "biases"))
        return Node(self.node, operation, tuple(edges), size, *forms)

    def operation(self, kind: str, shape: Shape) -> Operation:
        match kind:
            case "reshape":
                return discrete.Reshape()
            case "affine":
                return discrete.Affine(self.field("scale"), self.field("shift"))
            case "product":
                return discrete.MatrixProduct(self.weights("weight"), self.bias())
            case "delayed-product":
                return discrete.DelayedProduct(self.weights("taps"), self.bias())
            case "convolution":
                given = self.geometry()
                return discrete.Convolution(self.weights("weight"), self.bias(), given)
            case "window-sum":
                given = self.geometry()
                return discrete.WindowSum(given, self.number(self.take(r"  factor (\S+)")[0]))
            case "maximum":
                return discrete.Maximum(self.geometry())
            case "delay":
                depth = int(self.take(rf"  depth {_INT}")[0])
                steps, fraction = self.field("steps"), self.field("fraction")
                return discrete.Delayed(steps, fraction, shape, depth)
            case _:
                return self.neurons()

    def field(self, name: str) -> Tensor:
        return self.tensor(self.take(rf"  {name} ({_TENSOR})")[0], name)

    def bias(self) -> Tensor | None:
        return None if self.peek(r"  bias .*") is None else self.weights("bias", "biases")

    def weights(self, name: str, kind: str = "weights") -> Tensor:
        """A tensor that may have a format, which is kept for the node under its kind."""
        value, form = self.take(rf"  {name} ({_TENSOR})(?: : (.+))?")
        if form is not None:
            self.formats[kind] = self.format(form, f"{self.node}/{kind}")
        return self.tensor(value, name)

    def geometry(self) -> Convolution:
        channels = self.take(rf"  channels {_INT} {_INT} groups {_INT}")
        sizes = rf"size {_INT} taps {_INT} stride {_INT} dilation {_INT} zeros {_INT} {_INT}"
        axes = tuple(Axis(*map(int, found)) for found in self.each(rf"  axis {sizes}"))
        inputs, outputs, groups = map(int, channels)
        return Convolution(inputs, outputs, groups, axes)

    def neurons(self) -> Neurons:
        model, spiking, noise = self.take(rf"  model {_NAME}( spiking)?( noise)?")
        parameters = self.table("parameter", "parameters")
        options = {name: self.json(value) for name, value in self.each(r"  option (\S+) (.+)")}
        coefficients = self.table("coefficient", "coefficients")
        initial: dict[str, Tensor] = {}
        formats: dict[str, Format] = {}
        while (found := self.peek(rf"  state (\S+) ({_TENSOR}) : (.+)")) is not None:
            name = found[0]
            initial[name] = self.tensor(found[1], f"initial/{name}")
            formats[name] = self.format(found[2], f"{self.node}/state/{name}")
            self.place += 1
        step = self.step(tuple(initial), tuple(coefficients))
        kind = self.name(model)
        flags = bool(spiking), bool(noise)
        return Neurons(kind, parameters, options, step, coefficients, initial, formats, *flags)

    def table(self, word: str, group: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        while (line := self.peek(rf"  {word} (\S+) ({_TENSOR})")) is not None:
            if line[0] in found:
                self.refuse(f"a {word} that is not there yet")
            found[line[0]] = self.tensor(line[1], f"{group}/{line[0]}")
            self.place += 1
        return found

    def step(self, state: tuple[str, ...], coefficients: tuple[str, ...]) -> StepProgram:
        (inputs,) = self.take(r"  step ((?:\S+)(?: \S+)*)")
        lines = self.each(r"    (\S+) = (\w+)((?: \S+)*) : (\w+)")
        given = {name: value for name, value in self.each(r"    (\S+) <- (\S+)")}  # noqa: C416
        if tuple(given) != ("y", *state):
            self.refuse(f"after what each of {('y', *state)} becomes")
        instructions = tuple(_instruction(*line) for line in lines)
        names = tuple(inputs.split())
        return StepProgram(names, state, coefficients, instructions, tuple(given.values()))

    def name(self, text: str) -> str:
        return str(self.json(text)) if text.startswith('"') else text

    def json(self, text: str) -> Any:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = []
        if not isinstance(value, str | int | float | bool):
            self.refuse("one with a plain value in it")
        return value

    def shape(self, text: str) -> Shape:
        if re.fullmatch(r"(\d{1,9}(, \d{1,9})*)?", text) is None:
            self.refuse("one with a shape such as (2, 3)")
        return tuple(int(size) for size in text.split(", ") if size)

    def number(self, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            self.refuse("one with a number")

    def format(self, text: str, key: str) -> Format:
        if text in _DTYPES and _DTYPES[text].is_floating_point:
            return Real(_DTYPES[text])
        match = re.fullmatch(rf"spikes<{_INT}>", text)
        if match is not None:
            return Spikes(int(match[1]))
        words = r"(\d{1,2}) (un)?signed( symmetric)? (nearest|floor|zero) (saturate|wrap)"
        match = re.fullmatch(rf"fixed<{words}> ({_TENSOR})", text)
        if match is None:
            self.refuse("one with a number format: float32, spikes<1> or fixed<...> and its scale")
        bits, unsigned, symmetric, rounding, overflow, scale = match.groups()
        value = self.tensor(scale, f"{key}/scale", whole=True)
        options: Any = (unsigned is None, symmetric is not None, rounding, overflow)
        try:
            return Fixed(int(bits), value, *options)
        except ParameterError as cause:
            raise ProgramError(f"compiler.parse: line {self.read + 1}: {cause}") from cause

    def tensor(self, text: str, key: str, whole: bool = False) -> Tensor:
        key = key if whole else f"{self.node}/{key}"
        word, _, rest = text.partition(" ")
        if word not in _DTYPES:
            self.refuse(f"one with a tensor of {', '.join(_DTYPES)}")
        if not rest.startswith("("):
            kind = float if _DTYPES[word].is_floating_point else int
            try:
                return torch.tensor(kind(rest), dtype=_DTYPES[word])
            except (ValueError, OverflowError, RuntimeError):
                self.refuse(f"one with a number of {word}")
        shape, _, digest = rest.rpartition(" sha256:")
        found = self.tensors.get(key)
        if found is None:
            self.refuse(f"one whose tensor {key!r} is there")
        if found.dtype != _DTYPES[word] or tuple(found.shape) != self.shape(shape[1:-1]):
            self.refuse(f"of the tensor {key!r}, {found.dtype} {tuple(found.shape)}")
        if checksum(found) != digest:
            self.refuse(f"with the checksum of {key!r}, {checksum(found)}")
        return found


def _instruction(target: str, operation: str, rest: str, dtype: str) -> Instruction:
    words = rest.split()
    pairs = (w.partition("=") for w in words if "=" in w)
    options = tuple((name, value) for name, _, value in pairs)
    operands = tuple(w for w in words if "=" not in w)
    return Instruction(target, operation, operands, dtype, options)
