"""What a step may be made of, and what it is told when it is made of something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import spikewright as sw
from cases import distance
from spikewright.engine.scan import scan
from spikewright.errors import BackendError, ShapeError, TraceError

X = torch.linspace(-2.6, 3.1, 17 * 2 * 3).view(17, 2, 3)


class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (u,) = ctx.saved_tensors
        return grads[0] / (1 + u.abs()) ** 2


class NewStyle(torch.autograd.Function):
    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return (u > 0).to(u.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (u,) = ctx.saved_tensors
        return grads[0] / (1 + u.abs()) ** 2


def exact_arithmetic(x: Tensor, v: Tensor, c: Tensor) -> Tensor:
    """Arithmetic, comparison and selection with Python numbers, tensors and booleans."""
    ready = torch.logical_not(v > 2.0).logical_and_(x < 2.5)
    both = torch.zeros_like(x).add_(x).mul_(torch.tensor(2.0)).sub_(v, alpha=0.5)
    half = torch.where(ready, both, 0.25) + torch.where(x >= 1, 1.0, v) / 0.3
    rest = torch.remainder(x, 0.7) + torch.remainder(x, -0.7) + torch.fmod(v, 0.4)
    steps = torch.floor(x) + torch.ceil(v) - torch.round(x * 2) + torch.trunc(v)
    edges = torch.clamp(x, -1.0, 1.5) + torch.clamp(v, max=1.0) + torch.clamp(x, min=v)
    larger = torch.maximum(x, v) - torch.minimum(x, torch.ones_like(v)) + x.relu() - (-v).abs()
    return 0.05 * (half + rest + steps + edges + larger + x**2 - v**3 + 1 / (1 + x * x))


def whole_numbers(x: Tensor, v: Tensor, c: Tensor) -> Tensor:
    """Integer and boolean intermediate values, and conversions among them."""
    whole = (x * 3).to(torch.int64)
    odd = (whole % 2 == 1) ^ (v > 0)
    counts = (x > 0).to(torch.int32) + (v > 0).int() + odd
    return 0.1 * (whole // 2 + counts) + torch.sign(x) * odd.to(x.dtype) + (~odd & (x > 1)) * 0.25


def trailing_axis(x: Tensor, v: Tensor, c: Tensor) -> Tensor:
    """A small axis made, indexed, broken up and summed inside the step."""
    pair = torch.stack([x, v, x - v], -1)
    first, second, third = pair.unbind(-1)
    weights = torch.tensor([0.5, 0.25, 2.0])
    scaled = pair * weights + torch.arange(3.0)
    joined = torch.cat([pair[..., :2], pair[..., 2:]], -1)[..., 1]
    extremes = scaled.amax(-1) - scaled.amin(-1)
    some = (pair > 0).any(-1).to(x.dtype) - (pair > 1).all(-1).to(x.dtype)
    lone = pair[..., 1].unsqueeze(-1).squeeze(-1).expand_as(x)
    return 0.1 * (first * second + third + scaled[..., -1] + joined + extremes + some + lone)


def elementary(x: Tensor, v: Tensor, c: Tensor) -> Tensor:
    y = torch.exp(-x * x) + torch.sigmoid(x) * torch.tanh(v) + torch.sqrt(x.abs() + 0.1)
    z = torch.log1p(x.abs()) + torch.expm1(-x.abs()) + (x.abs() + 0.2) ** 1.5 + torch.sin(x)
    far = torch.erf(x) + torch.atan2(x, v + 3) + torch.rsqrt(v * v + 1) + torch.cos(v)
    more = torch.nn.functional.softplus(x) + torch.nn.functional.gelu(v)
    mean = torch.stack([x, v], -1).softmax(-1)[..., 0] + torch.stack([x, v, x * v], -1).mean(-1)
    return 0.05 * (y + z + far + more + mean)


def functions(x: Tensor, v: Tensor, c: Tensor) -> Tensor:
    """Own derivatives, detached parts and a spike."""
    return NewStyle.apply(x - v) * 0.3 + x.detach() * v * 0.1 + sw.spike(x - 1.0) * v * 0.1


def leaky(drive: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Any]:
    def step(x: Tensor, v: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        v = c * v + drive(x, v, c)
        return v * 2.0, v

    return step


def outcome(step: Callable[..., Any], backend: Any) -> list[Tensor]:
    x, c = X.clone().requires_grad_(), torch.tensor(0.75, requires_grad=True)
    v = torch.full((2, 3), 0.1, requires_grad=True)
    out, last = scan(step, x, v, c, features=(3,), backend=backend)
    loss = (out * torch.linspace(0.5, 1, out.numel()).view(out.shape)).sum() + last.sum()
    return [out.detach(), last.detach(), *torch.autograd.grad(loss, [x, v, c])]


@pytest.fixture(params=["cpu", "gpu"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each backend that prints steps; that of a GPU runs in Triton's interpreter."""
    if request.param == "gpu":
        pytest.importorskip("triton", reason="Triton is not installed")
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    return request.param


@pytest.mark.parametrize("drive", [exact_arithmetic, whole_numbers, trailing_axis, functions])
def test_step_of_exact_operations_equals_the_eager_loop_bit_for_bit(
    drive: Any, backend: str
) -> None:
    found, expected = (outcome(leaky(drive), name) for name in (backend, "reference"))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert float(expected[0].std()) > 0.05
    for a, b in zip(found[2:], expected[2:], strict=True):
        assert distance(a, b) < 1e-5


def test_step_of_elementary_functions_equals_the_eager_loop_to_some_rounding(backend: str) -> None:
    found, expected = (outcome(leaky(elementary), name) for name in (backend, "reference"))
    for a, b in zip(found, expected, strict=True):
        assert distance(a, b) < 3e-6


@pytest.mark.parametrize("special", [float("nan"), float("inf"), -float("inf")])
def test_not_a_number_and_infinity_pass_as_they_pass_in_torch(special: float, backend: str) -> None:
    def drive(x: Tensor, v: Tensor, c: Tensor) -> Tensor:
        bounded = torch.clamp(x, -1.0, 1.0) + torch.maximum(x, v) + torch.minimum(x, v)
        return torch.where(x > 0, bounded, x.relu()) + torch.floor(x)

    x = X.clone()
    x[5, 0, 1] = special
    with torch.no_grad():
        results = [
            scan(leaky(drive), x, torch.zeros(2, 3), torch.tensor(0.5), features=(3,), backend=b)
            for b in (backend, "reference")
        ]
    assert torch.equal(results[0][0].nan_to_num(7.0), results[1][0].nan_to_num(7.0))
    assert not bool(results[0][0].isfinite().all())


def test_boolean_outputs_have_the_dtype_of_the_state_on_each_backend(backend: str) -> None:
    def step(x: Tensor, v: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        return v > 0, c * v + x

    results = [
        scan(step, X, torch.zeros(2, 3), torch.tensor(0.5), features=(3,), backend=b)[0]
        for b in (backend, "reference")
    ]
    assert results[0].dtype is results[1].dtype is torch.float32
    assert torch.equal(results[0], results[1])


class Two(NamedTuple):
    v: Tensor
    w: Tensor


def refused(step: Callable[..., Any], state: Any = None) -> str:
    state = torch.zeros(2, 3) if state is None else state
    x = X.clone().requires_grad_()
    with pytest.raises(TraceError) as caught:
        scan(step, x, state, torch.tensor(0.5), features=(3,), backend="cpu")
    assert isinstance(caught.value, BackendError)
    return str(caught.value)


def named(step: Callable[..., Any]) -> Callable[..., Any]:
    step.__qualname__ = "my_step"
    return step


@pytest.mark.parametrize(
    ("surroundings", "shift"),
    [
        (torch.autograd.graph.save_on_cpu, 0.1),
        (torch.inference_mode, 0.2),
        (lambda: torch.autocast("cpu", torch.bfloat16), 0.3),
    ],
)
def test_the_first_call_may_be_inside_any_mode(
    surroundings: Callable[[], Any],
    shift: float,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SPIKEWRIGHT_CACHE", str(tmp_path))

    def step(x: Tensor, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        v = a * v + x * torch.sigmoid(v + shift)
        return v, v

    v, a = torch.zeros(3), torch.tensor(0.5)
    with surroundings():
        y, _ = scan(step, X.clone().requires_grad_(), v, a, features=(3,))
    expected, _ = scan(step, X, v, a, features=(3,), backend="reference")
    assert distance(y.detach(), expected) < 1e-6


def test_branch_on_a_tensor_is_refused() -> None:
    expected = (
        "engine.trace: my_step must not branch on a tensor, got an `if`, `float()` or `.item()` of "
        "a value that is known only while running. Use torch.where(condition, a, b), or run it "
        "with backend='reference'."
    )

    def branch(x: Tensor, v: Tensor, c: Tensor) -> Any:
        if x > 0:
            v = v + x
        return v, v

    assert refused(named(branch)) == expected
    assert refused(named(lambda x, v, c: (x * v.item(), v))) == expected
    assert refused(named(lambda x, v, c: (x * float(v), v))) == expected
    assert refused(named(lambda x, v, c: (x, v) if bool(v) else (v, x))) == expected


def test_old_style_function_is_told_its_rewrite() -> None:
    assert refused(named(lambda x, v, c: (OldStyle.apply(v + x), v + x))) == (
        "engine.trace: an autograd.Function in my_step must have a setup_context, got one in the "
        "old style. Rewrite it: forward(*inputs) without ctx, setup_context(ctx, inputs, output) "
        "that saves, backward(ctx, *grads); or run it with backend='reference'."
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x, v: torch.special.bessel_j0(x), "aten.special_bessel_j0"),
        (lambda x, v: torch.stack([x, v], -1).sort(-1)[0][..., 0], "aten.sort"),
        (lambda x, v: torch.stack([x, v], -1).max(-1)[0], "aten.max"),
        (lambda x, v: torch.round(x, decimals=1), "aten.round"),
        (lambda x, v: x.half().to(x.dtype), "aten._to_copy"),
        (lambda x, v: (x * 3).to(torch.int8).to(x.dtype), "aten._to_copy"),
        (lambda x, v: torch.stack([x, v], -1).cumsum(-1)[..., 1], "aten.cumsum"),
    ],
)
def test_unknown_operation_is_named_and_the_reference_offered(call: Any, name: str) -> None:
    assert refused(lambda x, v, c: (call(x, v), v + x)) == (
        f"engine.symbolic: every operation of a step must have a printer, got {name}. Write it "
        "with arithmetic, comparisons, torch.where or elementary functions, or run the network "
        "with backend='reference'."
    )


@pytest.mark.parametrize(
    "inhibit",
    [
        lambda x: x.sum(),
        lambda x: x.sum(-1, keepdim=True),
        lambda x: x.mean(),
        lambda x: x.amax(-1, keepdim=True),
        lambda x: x.numel() * 0.1,
    ],
)
def test_step_that_mixes_neurons_is_refused_and_not_silently_something_else(inhibit: Any) -> None:
    assert refused(named(lambda x, v, c: (v, c * v + x - 0.1 * inhibit(x)))) == (
        "engine.trace: my_step must treat each neuron by itself, got a result that depends on "
        "other neurons or samples, or has another shape than they. Count a trailing axis from the "
        "end (-1), or run it with backend='reference'."
    )


def test_axis_counted_from_the_front_is_refused() -> None:
    """For one neuron axis 0 is the trailing one, for a batch it is the samples."""
    state = Two(torch.zeros(2, 3), torch.zeros(2, 3, 3))
    step = named(lambda x, s, c: (s.v, Two(s.v + s.w.sum(0), s.w + x[..., None])))
    with pytest.raises(TraceError, match="Count a trailing axis from the end"):
        outcome_of(step, state)
    right = named(lambda x, s, c: (s.v, Two(s.v + s.w.sum(-1), s.w + x[..., None])))
    outcome_of(right, state)


def outcome_of(step: Callable[..., Any], state: Any) -> Any:
    with torch.no_grad():
        return scan(step, X, state, torch.tensor(0.5), features=(3,), backend="cpu")


@pytest.mark.parametrize(
    "draw", [torch.rand_like, lambda x: torch.bernoulli(torch.full_like(x, 0.5))]
)
def test_random_numbers_inside_a_step_are_refused(draw: Any) -> None:
    assert refused(named(lambda x, v, c: (v, v + draw(x)))) == (
        "engine.trace: my_step must give the same result each time, got another for the same "
        "arguments. Use the noise option, or pass random numbers as an input."
    )


@pytest.mark.parametrize("outside", [torch.tensor(2.0), torch.nn.Parameter(torch.tensor(2.0))])
def test_tensor_from_outside_is_refused_for_its_gradient_would_be_lost(outside: Tensor) -> None:
    assert refused(named(lambda x, v, c: (v, v + x * outside))) == (
        "engine.trace: my_step must get tensors as arguments, got one from a global or a closure. "
        "Make it a parameter of the neuron, or a Python number if it never changes."
    )


def test_wrong_returns_are_refused() -> None:
    pair = "engine.trace: a step must return the pair (spikes, state), got {}. "
    pair += "Write: return spikes, State(...)."
    assert refused(lambda x, v, c: (v, v, v)) == pair.format("tuple of 3")
    assert refused(lambda x, v, c: None) == pair.format("NoneType")
    assert refused(lambda x, v, c: (None, v)) == (
        "engine.trace: outputs of a step must be a tensor or a tuple of tensors, got NoneType. "
        "Return what each neuron sends out."
    )


def test_state_of_another_structure_or_shape_is_refused() -> None:
    two = Two(torch.zeros(2, 3), torch.zeros(2, 3))
    text = refused(lambda x, s, c: (s.v, (s.v, s.w)), two)
    assert text.startswith(
        "engine.trace: the state a step returns must be built like the one it takes, "
    )
    assert text.endswith("Return every field, in the same class.")
    text = refused(lambda x, s, c: (s.v, Two(s.v, torch.stack([x, x], -1))), two)
    assert text == (
        "engine.trace: a state field must keep its shape, () for one neuron, got (2,). Sum or "
        "select over the trailing axis before you return it."
    )
    text = refused(lambda x, s, c: (s.v, Two(s.v, 1.0)), two)
    assert "must keep its shape, () for one neuron, got float" in text


def test_fault_inside_a_step_is_shown_with_its_cause() -> None:
    text = refused(named(lambda x, v, c: (v, v + x.does_not_exist)))
    assert text.startswith("engine.trace: my_step must be made of tensor operations on one neuron")
    assert "AttributeError" in text
    assert "does_not_exist" in text


def test_second_derivative_of_a_kernel_is_refused_and_the_reference_gives_it() -> None:
    def step(x: Tensor, v: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        v = c * v + x * x
        return v, v

    def first(backend: Any) -> tuple[Tensor, Tensor]:
        x = X.clone().requires_grad_()
        out, _ = scan(step, x, torch.zeros(2, 3), torch.tensor(0.5), features=(3,), backend=backend)
        return torch.autograd.grad(out.sum(), x, create_graph=True)[0], x

    grad, x = first("reference")
    (second,) = torch.autograd.grad(grad.sum(), x)
    assert torch.allclose(second, grad.detach() / x.detach(), rtol=1e-4)
    compiled, x = first("cpu")
    assert distance(compiled.detach(), grad.detach()) < 1e-6
    with pytest.raises(BackendError) as caught:
        compiled.sum().backward()
    assert str(caught.value) == (
        "engine.cpu: a fused kernel must be differentiated at most once, got a second derivative. "
        "Run the layer with backend='reference'."
    )


def test_unknown_backend_and_wrong_sizes_are_refused_with_the_way_out() -> None:
    def call(x: Tensor, state: Tensor, backend: Any) -> Any:
        step = leaky(lambda x, v, c: x)
        return scan(step, x, state, torch.tensor(0.5), features=(3,), backend=backend)

    with pytest.raises(BackendError) as caught:
        call(X, torch.zeros(2, 3), "referense")
    assert str(caught.value) == (
        "engine.scan: backend must be one of auto, reference, cpu, gpu, got 'referense'. "
        "Did you mean 'reference'?"
    )
    with pytest.raises(ShapeError, match="state must be of the input's batch size 2, got 4"):
        call(X, torch.zeros(4, 3), "cpu")
    with pytest.raises(ShapeError, match=r"input must be \(time, batch, \*\(3,\)\)"):
        call(X[..., :2], torch.zeros(2, 3), "cpu")
    with pytest.raises(ShapeError, match=r"time and batch must be at least 1, got \(0, 2"):
        call(X[:0], torch.zeros(2, 3), "cpu")
