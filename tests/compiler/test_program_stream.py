from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import spikewright as sw
from spikewright.errors import ProgramError, ShapeError


def spikes(steps: int = 60, batch: int = 3, channels: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(steps, batch, channels, generator=generator) < 0.3).float()


def program(**options: object) -> sw.Program:
    torch.manual_seed(0)
    net = sw.Sequential(
        sw.Linear(6, 20), sw.Recurrent(sw.CubaLIF(**options)), sw.Linear(20, 3), sw.LI(), dt=1e-3
    )
    sw.aim_rates(net, spikes(), rate=0.2)
    return sw.compile(net.eval(), "simulator", calibration=spikes(), weights=6)


@pytest.mark.parametrize("parts", [[1] * 60, [7, 0, 13, 40], [60]])
def test_any_cut_gives_the_outputs_of_the_whole_run(parts: list[int]) -> None:
    made = program()
    x = spikes(batch=1)
    stream = made.stream()
    outputs = torch.cat([stream.run(part) for part in x[:, 0].split(parts)])
    assert outputs.abs().sum() > 0
    torch.testing.assert_close(outputs, made.run(x)[:, 0], rtol=1e-5, atol=1e-6)
    assert stream.steps == 60


def test_steps_one_at_a_time_are_the_run_without_its_first_axis() -> None:
    made, x = program(), spikes(5, 1)[:, 0]
    one, many = made.stream(), made.stream()
    assert torch.equal(torch.stack([one.step(row) for row in x]), torch.cat(
        [many.run(row[None]) for row in x]
    ))  # fmt: skip


def test_noise_is_that_of_the_programs_seed() -> None:
    made, x = program(noise=5.0), spikes(batch=1)
    outputs = made.stream().run(x[:, 0])
    torch.testing.assert_close(outputs, made.run(x)[:, 0], rtol=1e-5, atol=1e-6)
    assert not torch.equal(outputs, made.run(x, seed=1)[:, 0])


def test_a_reset_starts_afresh_and_the_global_random_stream_is_left_alone() -> None:
    made, x = program(), spikes(batch=1)[:, 0]
    stream, before = made.stream(), torch.get_rng_state()
    first = stream.run(x)
    second = stream.run(x)
    stream.reset()
    assert torch.equal(stream.run(x), first)
    assert not torch.equal(second, first)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_input_that_does_not_fit_leaves_the_state_as_it_was() -> None:
    made, x = program(), spikes(batch=1)[:, 0]
    stream, other = made.stream(), made.stream()
    wanted = torch.cat([other.run(x[:30]), other.run(x[30:])])
    first = stream.run(x[:30])
    for wrong in (x[:, :5], x[:, :, None], x * torch.nan, x[0, 0]):
        with pytest.raises(ShapeError, match=r"program\.stream"):
            stream.run(wrong)
    assert torch.equal(torch.cat([first, stream.run(x[30:])]), wanted)
    assert stream.steps == 60


def test_a_target_that_takes_whole_trials_alone_says_so() -> None:
    class Whole:
        """Runs nothing on."""

    made = replace(program(), artefact=Whole())
    with pytest.raises(ProgramError, match="got 'simulator', which takes whole ones"):
        made.stream()
