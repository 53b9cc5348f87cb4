"""Proofs by Yosys, for all inputs: the queue of results, requantiser and control registers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spikewright.targets.fpga.emit import RTL
from targets.fpga.needs import needs

FORMAL = Path(__file__).parent / "formal"
pytestmark = needs("yosys")
# Width and depth.
FIFOS = [(1, 4), (3, 8), (2, 16)]
# Bits of sums and activations, and how far to the left.
REQUANTISERS = [(4, 2, 0), (9, 4, 2), (12, 8, 0), (16, 4, 3)]
FIFO_FAULTS = {
    "room for one word only": ("INDEX + 1)'(DEPTH - 1)", "INDEX + 1)'(DEPTH)"),
    "one place is never used": ("INDEX + 1)'(DEPTH - 1)", "INDEX + 1)'(DEPTH - 2)"),
    "the last word stays": ("count != 0", "count > 1"),
    "a word comes out twice": ("if (pop) head <=", "if (pop & ~push) head <="),
    "a word is lost": ("head + INDEX'(1)", "head + INDEX'(2)"),
    "words change places": ("words[tail] <=", "words[tail ^ INDEX'(1)] <="),
    "a bit turns over": ("<= push_data;", "<= push_data ^ WIDTH'(tail == 0);"),
    "reset leaves words": ("count <= '0;", "count <= count;"),
}
REQUANTISER_FAULTS = {
    "halves are rounded down": ("halves[0]})", "halves[0] & halves[1]})"),
    "the range is looked at before rounding": ("(rounded >", "((halves >>> 1) >"),
    "the largest is one too small": ("most = ~(", "most = ~ACTIVATION'(1) & ~("),
    "negative sums come through": ("rounded[WIDE-1] ? '0 :", ""),
    "the shift is logical": ("extended >>> shift", "extended >> shift"),
    "saturation is not told": ("saturated  <= above", "saturated  <= 1'b0"),
}
REGISTER_FAULTS = {
    "an answer does not wait": ("else if (bready) bvalid", "else bvalid"),
    "what was read changes": ("if (arvalid & arready) begin", "if (arvalid) begin"),
    "an address is lost": ("if (awvalid) addressed", "if (awvalid & ~wvalid) addressed"),
    "writes overtake answers": ("written & ~bvalid", "written"),
    "other bytes start": (" & {8{wstrb[lane]}}", ""),
    "starts while one runs": ("write_data[0] & ~busy", "write_data[0]"),
    "reset leaves an address": ("      addressed <= 1'b0;\n      written", "      written"),
}

PARTS = {"control_registers": ("register_port",)}
"""Modules inside of others, which are proven together."""


def proven(folder: Path, module: str, sizes: dict[str, int], fault: tuple[str, str] | None) -> bool:
    """Whether all assertions hold, by induction, with the module as it is or with a fault."""
    names = [*PARTS.get(module, ()), module]
    text = "".join((RTL / f"{name}.sv").read_text() for name in names)
    if fault is not None:
        assert text.count(fault[0]) == 1
        text = text.replace(*fault)
    properties = (FORMAL / f"{module}.properties.sv").read_text()
    start, end, rest = text.rpartition("endmodule")
    (folder / "proof.sv").write_text(start + properties + end + rest)
    sets = " ".join(f"-set {name} {value}" for name, value in sizes.items())
    script = (
        f"read_verilog -sv -formal proof.sv; chparam {sets} {module}; hierarchy -top {module}; "
        "proc; flatten; memory -nomap; memory_map; opt_clean; "
        f"sat -verify -tempinduct -seq 3 -maxsteps 4 -prove-asserts -set-assumes {module}"
    )
    done = subprocess.run(
        ["yosys", "-p", script], cwd=folder, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert ("SUCCESS!" in said) == (done.returncode == 0), said[-2000:]
    assert done.returncode == 0 or "proof did fail" in said, said[-2000:]
    assert said.count("Import proof for assert") >= 5, said[-2000:]
    return done.returncode == 0


def requantiser(total: int, activation: int, left: int) -> dict[str, int]:
    sizes = {"SUM": total, "ACTIVATION": activation, "LEFT": left}
    return sizes | {"SHIFT": (total + left).bit_length(), "BITS": activation.bit_length()}


@pytest.mark.parametrize(("width", "depth"), FIFOS)
def test_the_queue_never_loses_doubles_or_reorders_a_word(tmp_path, width, depth):
    assert proven(tmp_path, "stream_fifo", {"WIDTH": width, "DEPTH": depth}, None)


@pytest.mark.parametrize("fault", FIFO_FAULTS)
def test_the_proof_finds_a_fault_of_the_queue(tmp_path, fault):
    assert not proven(tmp_path, "stream_fifo", {"WIDTH": 3, "DEPTH": 8}, FIFO_FAULTS[fault])


@pytest.mark.parametrize("sizes", REQUANTISERS)
def test_the_requantiser_equals_its_definition_for_all_sums(tmp_path, sizes):
    assert proven(tmp_path, "requantiser", requantiser(*sizes), None)


@pytest.mark.parametrize("fault", REQUANTISER_FAULTS)
def test_the_proof_finds_a_fault_of_the_requantiser(tmp_path, fault):
    assert not proven(tmp_path, "requantiser", requantiser(5, 3, 1), REQUANTISER_FAULTS[fault])


def test_every_access_to_the_registers_is_answered_once(tmp_path):
    assert proven(tmp_path, "control_registers", {"UNITS": 3}, None)


@pytest.mark.parametrize("fault", REGISTER_FAULTS)
def test_the_proof_finds_a_fault_of_the_registers(tmp_path, fault):
    assert not proven(tmp_path, "control_registers", {"UNITS": 1}, REGISTER_FAULTS[fault])
