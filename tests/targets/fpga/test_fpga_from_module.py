"""Plain modules read as graphs: the same numbers out, or all that does not fit, by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import spikewright as sw
from spikewright.errors import CompileError
from spikewright.learning.proxy import as_torch
from spikewright.targets.fpga.convert import convert
from spikewright.targets.fpga.floats.fold_batch_norms import fold_batch_norms
from spikewright.targets.fpga.floats.from_module import from_module
from spikewright.targets.fpga.floats.network import BatchNorm
from spikewright.targets.fpga.floats.put_relu_first import put_relu_first
from spikewright.targets.fpga.integer import Convolution, MaxPool
from targets.fpga.modules import CASES, Residual, case


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(5)


CLOSE = {"rtol": 1e-5, "atol": 1e-5}  # torch fuses batch norms in another order, in float32


@pytest.mark.parametrize("name", CASES)
def test_the_graph_and_each_pass_give_what_the_module_gives(name: str) -> None:
    module, x = case(name)
    with torch.no_grad():
        wanted = module(x)
    assert float(wanted.std()) > 0.01
    net = from_module(module, x)
    for made in (net, fold_batch_norms(net), put_relu_first(fold_batch_norms(net))):
        torch.testing.assert_close(made.run(x), wanted, **CLOSE)
    kinds = [type(stage.operation) for stage in fold_batch_norms(net).stages]
    assert BatchNorm in {type(stage.operation) for stage in net.stages}
    assert BatchNorm not in kinds


def test_the_module_is_left_in_its_mode_and_with_its_statistics() -> None:
    module, x = case("lines")
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    from_module(module, x)
    assert all(part.training for part in module.modules())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_layers_keep_their_names_and_dropout_and_identity_vanish() -> None:
    module, x = case("residual")
    names = [stage.name for stage in from_module(module, x).stages]
    assert {"stem", "norm", "deep", "short", "depthwise", "out"} <= set(names)
    assert not any("dropout" in name for name in names)


def test_a_module_used_twice_gives_two_stages() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.same(torch.relu(self.same(x)))

    module, x = Twice(), torch.rand(4, 3)
    net = from_module(module, x)
    assert [stage.name for stage in net.stages] == ["same", "relu", "same_2"]
    torch.testing.assert_close(net.run(x), module(x).detach())


def test_a_line_that_is_made_an_image_first_and_layers_without_use_are_no_matter() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.unused = nn.Conv2d(1, 2, 3), nn.LSTM(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x.sin()
            return self.conv(x.view(-1, 1, 4, 4)).contiguous().flatten(1)

    module, x = Odd(), torch.rand(3, 16)
    net = from_module(module, x)
    assert net.shape == (1, 4, 4)
    torch.testing.assert_close(net.run(x), module(x).detach())


def test_the_relu_twin_of_our_own_network_is_read() -> None:
    layers = (
        sw.Conv2d(1, 3, 3),
        sw.BatchNorm(3),
        sw.IF(v_threshold=0.7),
        sw.AvgPool2d(2),
        sw.Flatten(),
        sw.Linear(27, 4),
        sw.IF(),
    )
    own = sw.Sequential(*layers, dt=1e-3, shape=(1, 8, 8))
    x = torch.rand(5, 1, 8, 8)
    twin = as_torch(own)
    net = fold_batch_norms(from_module(twin, x))
    torch.testing.assert_close(net.run(x), twin(x).detach(), **CLOSE)
    with pytest.raises(CompileError, match=r"Pass spikewright.learning.proxy.as_torch\(network\)"):
        from_module(own, x)


class Faulty(nn.Module):
    """Many layers that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.around = nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")
        self.clipped = nn.Hardtanh(-1, 1)
        self.ceiled = nn.AvgPool2d(2, ceil_mode=True)
        self.norm = nn.BatchNorm2d(2, track_running_stats=False)
        self.line = nn.Linear(4, 4)
        self.soft = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.ceiled(self.clipped(self.around(x)))
        x = self.line(self.norm(x * x))
        return self.soft(torch.cat([x, x], 1))


def test_everything_that_does_not_fit_is_named_with_its_way_out() -> None:
    with pytest.raises(CompileError) as caught:
        from_module(Faulty(), torch.rand(2, 1, 7, 7))
    text = str(caught.value)
    assert text.startswith("fpga.from_module: the network must fit the accelerator, got 8 layers")
    said = {
        "around": "the operation 'pad'",
        "clipped": "activations from -1 to 1",
        "ceiled": "windows of different sizes",
        "mul": "a product of two branches",
        "norm": "the statistics of its batch",
        "line": "a product along the last axis",
        "cat": "the operation 'cat'",
        "soft": "the operation 'softmax'",
    }
    lines = text.splitlines()[1:]
    for line, (name, need) in zip(lines, said.items(), strict=True):
        assert line.startswith(f"- layer {name!r} needs {need}"), line
        assert line.count(". ") >= 1  # what there is, then the way out
    assert "the largest output stays the largest" in lines[-1]


def test_a_layer_with_several_outputs_is_refused_once() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            one, other = x.chunk(2, 1)
            return one + other

    with pytest.raises(CompileError, match="got 1 layer that cannot be mapped") as caught:
        from_module(Halves(), torch.rand(2, 4))
    assert "the operation 'chunk'" in str(caught.value)


def test_weights_that_are_worked_out_from_the_input_are_refused() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(x, x.relu())

    with pytest.raises(CompileError, match=r"needs weights that are worked out.*parametrisations"):
        from_module(Product(), torch.rand(2, 3))


def test_a_slice_inside_is_refused_by_the_name_of_the_operation() -> None:
    with pytest.raises(CompileError, match="the operation 'slice'"):
        from_module(Residual(), torch.rand(2, 2, 9, 9))


def test_a_module_whose_course_depends_on_its_data_is_refused() -> None:
    class Wavering(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu() if x.sum() > 0 else x

    with pytest.raises(CompileError, match=r"must run on \(2, 3\) and always take the same course"):
        from_module(Wavering(), torch.rand(2, 3))


def test_two_outputs_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.relu(), x.relu()

    with pytest.raises(CompileError, match="needs none or several outputs"):
        from_module(Two(), torch.rand(2, 3))


@pytest.mark.parametrize("bias", [True, False])
def test_folding_takes_epsilon_and_the_old_bias_along(bias: bool) -> None:
    torch.manual_seed(1)
    product, norm = nn.Conv2d(2, 3, 3, bias=bias), nn.BatchNorm2d(3, eps=0.5)
    nn.init.uniform_(norm.running_mean, -1, 1)
    nn.init.constant_(norm.running_var, 0.01)  # far below epsilon
    module, x = nn.Sequential(product, norm).eval(), torch.rand(4, 2, 5, 5)
    (stage,) = fold_batch_norms(from_module(module, x)).stages
    assert isinstance(stage.operation, Convolution)
    gain = norm.weight.double() / (0.01 + 0.5) ** 0.5
    torch.testing.assert_close(
        stage.operation.weight, product.weight.double() * gain.view(-1, 1, 1, 1), **CLOSE
    )
    old = product.bias.double() if bias else 0.0
    wanted = norm.bias.double() + gain * (old - norm.running_mean.double())
    torch.testing.assert_close(stage.operation.bias, wanted.detach(), **CLOSE)


def test_a_norm_of_images_behind_a_relu_becomes_a_convolution_of_each_channel() -> None:
    norm = nn.BatchNorm2d(2)
    nn.init.uniform_(norm.running_mean, -1, 1)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), norm, nn.ReLU()).eval()
    x = torch.rand(3, 1, 5, 5)
    net = fold_batch_norms(from_module(module, x))
    assert isinstance(net.stages[2].operation, Convolution)
    assert net.stages[2].operation.groups == 2
    torch.testing.assert_close(net.run(x), module(x).detach(), **CLOSE)


def test_a_norm_of_features_that_no_product_can_take_is_refused() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2)).eval()
    net = from_module(module, torch.rand(3, 2))
    with pytest.raises(CompileError, match="layer '_2' needs a product behind '_2' to take a gain"):
        fold_batch_norms(net)


def test_a_relu_behind_pooling_moves_before_it_and_one_too_many_goes() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.ReLU(), nn.ReLU()
    )
    x = torch.rand(3, 1, 6, 6)
    net = put_relu_first(from_module(module, x))
    kinds = [type(stage.operation).__name__ for stage in net.stages]
    assert kinds == ["Convolution", "ReLU", "MaxPool", "Flatten"]
    torch.testing.assert_close(net.run(x), module(x).detach())
    assert isinstance(net.stages[-2].operation, MaxPool)


def test_negative_values_where_spikes_are_needed_are_all_refused() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    with pytest.raises(CompileError) as caught:
        convert(module, torch.rand(5, 3))
    text = str(caught.value)
    assert "2 layers that cannot be mapped" in text
    assert "layer '_1' needs inputs that may be negative, from '_0'" in text
    assert "layer '_2' needs inputs that may be negative, from '_1'" in text
    assert "Put a ReLU right behind '_0'" in text


def test_sums_that_a_relu_and_another_layer_read_are_refused() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.line(x)
            return y + torch.relu(y)

    with pytest.raises(CompileError, match="the values of 'line' that 'add' reads as well"):
        convert(Both(), torch.rand(5, 3))


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(3, 2, device="meta"), r"got 'weight' on the meta device. Use module.to_empty"),
        (nn.Sequential(nn.LazyLinear(2)), "got '0.weight' of a lazy layer .* Call the module on"),
    ],
    ids=["meta", "lazy"],
)
def test_modules_without_weights_or_code_are_refused(module: nn.Module, said: str) -> None:
    with pytest.raises(CompileError, match=said):
        from_module(module, torch.rand(5, 3))


def test_inputs_of_another_shape_are_refused_and_nothing_is_logged(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CompileError, match=r"must run on \(5, 4\)"):
        from_module(nn.Linear(3, 2), torch.rand(5, 4))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_a_traced_module_is_refused() -> None:
    traced = torch.jit.trace(nn.Linear(3, 2), torch.rand(1, 3))
    with pytest.raises(CompileError, match="Pass the module that was scripted or traced"):
        from_module(traced, torch.rand(5, 3))  # pyright: ignore[reportArgumentType]
