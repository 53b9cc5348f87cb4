"""A chip behind a wire in the forward pass of training, and what it costs when it goes away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import spikewright as sw
from spikewright.errors import DeviceError
from spikewright.targets.brainscales2.remote import RemoteChip
from spikewright.targets.brainscales2.twin import Twin
from spikewright.targets.brainscales2.wire import CODEC
from spikewright.targets.core.device.server import DeviceServer
from targets.test_in_training import DATA, OPTIONS, net, rule

TOKEN = "token-of-the-tests"


def serve(port: int = 0) -> DeviceServer:
    return DeviceServer(Twin(seed=4), CODEC, ("127.0.0.1", port), TOKEN).start()


def train(chip: Any, folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    network = net()
    program = sw.compile(
        network, sw.targets.BrainScaleS2(chip=chip, settings="nominal"), calibration=DATA
    )
    where: dict[str, Any] = {"epochs": 2, "folder": folder, "log_every": 1}
    sw.fit(network, DATA, rule(), forward=program, **where, **OPTIONS, **options)
    return network.state_dict()


def test_a_device_that_goes_away_in_mid_epoch_costs_nothing(tmp_path: Path) -> None:
    server = serve()
    port = int(server.server_address[1])
    steps: list[int] = []

    def on_record(record: dict[str, Any]) -> None:
        steps.append(record["step"])
        if record["kind"] == "batch" and record["step"] == 4:  # of 6, in the second epoch
            server.stop()

    with RemoteChip(server.url, TOKEN, timeout=20.0, retries=2, patience=120.0) as chip:
        with pytest.raises(DeviceError, match="same command"):
            train(chip, tmp_path / "parts", on_record=on_record)
        assert max(steps) == 4
        again = serve(port)
        try:
            resumed = train(chip, tmp_path / "parts")
        finally:
            again.stop()
    whole = train(Twin(seed=4), tmp_path / "whole")
    assert not torch.equal(whole["nodes.in.weight"], net().state_dict()["nodes.in.weight"])
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
