"""The benchmark of a GPU: refused without one; what it times ends when the GPU is done."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch

from spikewright.benches import gpu
from spikewright.benches.core.task import Task
from spikewright.errors import BackendError


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = (
        "bench gpu: there must be a GPU that PyTorch can use, got none (torch "
        f"{torch.__version__}). Run it on a machine with one, with a PyTorch built for it; "
        "'spikewright bench engine' measures the CPU."
    )
    with pytest.raises(BackendError, match=re.escape(expected)):
        next(gpu.rows())


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A device that takes the GPU's place; each wait for it is noted."""
    found: list[str] = []
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: found.append("waited"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a device")
    before = torch.get_default_device()
    yield found
    torch.set_default_device(before)


@pytest.mark.parametrize("name", ["spikewright", "torch-eager", "copy-limit"])
@pytest.mark.parametrize("net", ["lif", "cuba"])
def test_each_framework_does_its_task_and_waits_for_the_device(
    name: str, net: str, waits: list[str]
) -> None:
    work = gpu.prepare(Task(net, "train", 40, 3, (17,)), f"{name}:")
    work.run()
    assert waits == ["waited"]
    assert work.version.endswith("on a device")
    assert all(0.01 < rate < 0.5 for rate in work.rates())


def test_every_task_is_given_to_our_package_and_to_others() -> None:
    for task in gpu.TASKS:
        found = gpu.entries(task)
        assert found[0].kind == "ours"
        assert {"peer", "by hand"} <= {entry.kind for entry in found}
        assert task.layer_alone == ("limit" in {entry.kind for entry in found})


@pytest.mark.gpu
def test_a_task_is_measured_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    monkeypatch.setattr(gpu, "TASKS", (Task("lif", "train", 40, 3, (17,)),))
    monkeypatch.setattr(gpu, "ROUNDS", 2)
    rows = list(gpu.rows())
    assert all(row.ours is not None for row in rows)
    assert {row.kind for row in rows if row.other is not None} >= {"by hand", "limit"}
