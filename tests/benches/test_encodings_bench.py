"""The table of codes: what encoding and decoding finds is what closed forms say."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from scipy.special import digamma
from torch import Tensor
from typer.testing import CliRunner

from spikewright.benches import Figures, encodings, rows
from spikewright.benches.core.codes import Held, binomial, even_values, hold, hold_by_chance
from spikewright.benches.core.record import record
from spikewright.cli import app
from spikewright.coding import Bernoulli, Radix
from spikewright.errors import ParameterError

DT = 1e-3
TABLE = [row for row in rows("encodings") if isinstance(row, Figures)]


def row(steps: int, name: str) -> dict[str, float]:
    (found,) = [r for r in TABLE if r.case.startswith(f"T = {steps}, {name}")]
    return dict(found.values)


def expect(found: dict[str, float], steps: int, levels: int, spikes: Fraction) -> None:
    step = Fraction(1, levels - 1)
    assert found["levels"] == levels
    assert found["spikes a value"] == pytest.approx(float(spikes), abs=2e-5)
    assert found["greatest error"] == pytest.approx(float(step / 2), rel=1e-12)
    # An error that is even in -step/2 .. step/2.
    assert found["rms error"] == pytest.approx(float(step) / math.sqrt(12), rel=1e-6)
    assert found["bits a step"] == pytest.approx(math.log2(levels) / steps)


@pytest.mark.parametrize("steps", range(1, 9))
def test_codes_of_levels_are_what_their_closed_forms_say(steps: int) -> None:
    half = Fraction(steps, 2)
    expect(row(steps, "radix"), steps, 2**steps, half)
    expect(row(steps, "phase"), steps, 2 ** math.ceil(steps / 2), half)
    expect(row(steps, "rate, evenly"), steps, steps + 1, half)
    expect(row(steps, "time to"), steps, steps + 1, 1 - Fraction(1, 2 * steps))


def information_of_a_count(steps: int) -> float:
    """Bits that a binomial count has of its chance, which is even in [0, 1].

    Each count is as likely; the mean of log p over the values with count n is
    digamma(n + 1) - digamma(steps + 2), p then being Beta(n + 1, steps - n + 1).
    """
    nats = 0.0
    for n in range(steps + 1):
        nats += math.log(math.comb(steps, n)) + math.log(steps + 1)
        nats += n * (digamma(n + 1) - digamma(steps + 2))
        nats += (steps - n) * (digamma(steps - n + 1) - digamma(steps + 2))
    return nats / (steps + 1) / math.log(2)


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_rate_by_chance_is_what_its_closed_forms_say(steps: int) -> None:
    found = row(steps, "rate, by chance")
    assert found["levels"] == steps + 1
    assert found["spikes a value"] == pytest.approx(steps / 2)
    assert found["greatest error"] == pytest.approx(1, abs=1e-5)
    # The mean of x (1 - x) / T.
    assert found["rms error"] == pytest.approx(math.sqrt(1 / (6 * steps)), rel=1e-6)
    assert found["bits a step"] == pytest.approx(information_of_a_count(steps) / steps, rel=1e-6)


def test_one_step_by_chance_holds_what_a_coin_of_unknown_bias_tells() -> None:
    assert information_of_a_count(1) == pytest.approx(1 - 1 / (2 * math.log(2)))


def test_drawn_spikes_have_the_figures_worked_out_from_binomials() -> None:
    code, x = Bernoulli(5, DT, max_rate=600.0), even_values(400_000)
    held = hold_by_chance(code, even_values(4096))
    spikes = code(x[None], torch.Generator().manual_seed(2))
    error = code.decode(spikes)[0] - x
    assert float(spikes.sum(0).mean()) == pytest.approx(held.spikes, rel=5e-3)
    assert float(error.square().mean().sqrt()) == pytest.approx(held.rms, rel=5e-3)
    assert float(error.abs().max()) <= held.greatest + 1e-3
    # Information from how often each count came, of values in 200 parts.
    counts = torch.stack([(spikes.sum(0)[0] == n).double() for n in range(6)], 1)
    given = counts.reshape(200, -1, 6).mean(1)
    parts = torch.where(given > 0, given * (given / given.mean(0)).log2(), 0.0)
    assert float(parts.sum(1).mean()) / 5 == pytest.approx(held.bits, rel=0.02)


def test_binomials_are_those_of_exact_fractions() -> None:
    found = binomial(7, torch.tensor([0.25], dtype=torch.float64))[0].tolist()
    p = Fraction(1, 4)
    exact = [math.comb(7, n) * p**n * (1 - p) ** (7 - n) for n in range(8)]
    assert found == pytest.approx([float(chance) for chance in exact], rel=1e-14)
    assert sum(exact) == 1


class Reversed(Radix):
    """The least significant bit first, read as if it were the most significant."""

    def decode(self, spikes: Tensor) -> Tensor:
        return super().decode(spikes.flip(0))


def test_a_reversed_order_of_bits_shows_in_the_errors() -> None:
    right, wrong = (hold(kind(4, DT), even_values(1024)) for kind in (Radix, Reversed))
    assert (wrong.levels, wrong.spikes) == (right.levels, right.spikes)
    assert wrong.greatest > 10 * right.greatest
    assert wrong.rms > 10 * right.rms


def test_every_row_has_the_columns_of_the_page(tmp_path: Path) -> None:
    assert len(TABLE) == 40
    page = record("made", "What it is.", TABLE, tmp_path).read_text("utf-8")
    head = "| case | levels | spikes a value | greatest error | rms error | bits a step |\n"
    assert head + "|---|---:|---:|---:|---:|---:|\n" in page
    assert "| T = 4, radix | 16 | 2 | 0.03333 | 0.01925 | 1 |\n" in page
    assert "ratio" not in page
    kept = json.loads((tmp_path / "made.json").read_text("utf-8"))["rows"]
    assert [r["case"] for r in kept] == [r.case for r in TABLE]
    assert kept[15]["levels"] == 16
    assert not (tmp_path / "made.svg").exists()


def test_the_command_prints_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(encodings, "STEPS", (3,))
    file = tmp_path / "out.json"
    done = CliRunner().invoke(app, ["bench", "encodings", "--json", str(file)])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["T", "=", "3,", "radix", "8", "1.5", "0.07143", "0.04124", "1"] in lines
    assert len(json.loads(file.read_text("utf-8"))["rows"]) == 5


def test_a_figure_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"bits a step must be finite, got nan\. Check how"):
        Figures("case", encodings.figures(Held(2, 1.0, 0.5, 0.3, math.nan)))
