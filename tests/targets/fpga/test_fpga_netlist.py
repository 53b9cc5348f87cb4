"""What Yosys makes of the source: no loops, no latches, no path from port to port, right gates."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spikewright.targets.fpga.assemble import assemble
from spikewright.targets.fpga.emit import emit
from spikewright.targets.fpga.lif.emit import emit as emit_layers
from spikewright.targets.fpga.lif.lanes import Lanes
from targets.fpga.lif_networks import CASES
from targets.fpga.needs import needs
from targets.fpga.test_fpga_icarus import BUSY, ON_CHIP, STREAMED, same, small

pytestmark = [pytest.mark.slow, needs("yosys")]
REGISTERS = ",".join(f"-${kind}" for kind in ("dff", "dffe", "sdff", "sdffe", "sdffce"))


def accelerator(folder: Path) -> Path:
    return emit(assemble(small(1)[0], STREAMED), folder)


def layers(folder: Path) -> Path:
    make, lanes = CASES["chain"]
    return emit_layers(make(), folder, Lanes(lanes, queue=4))


def yosys(folder: Path, top: str, *rest: str) -> str:
    """What Yosys says of a design whose modules are made one."""
    files = sorted(f"rtl/{path.name}" for path in (folder / "rtl").glob("*.sv"))
    packages = [name for name in files if name.endswith("_pkg.sv")]
    modules = [name for name in files if not name.endswith("_pkg.sv")]
    read = [
        f"read_verilog -sv {' '.join(packages)}",
        f"read_verilog -sv -defer {' '.join(modules)}",
    ]
    script = [*read, f"hierarchy -check -top {top}", *rest]
    command = ["yosys", "-p", "; ".join(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(folder: Path, top: str, *selections: str) -> set[str]:
    """What a selection of a flattened design holds; memories are registers."""
    flat = ("proc", "flatten", "opt_clean", "memory -nomap", "memory_map", "opt_clean", f"cd {top}")
    *before, last = selections
    yosys(folder, top, *flat, *before, f"tee -q -o listed select -list {last}")
    return {line.split("/", 1)[1] for line in (folder / "listed").read_text().split()}


@pytest.mark.parametrize(("made", "top"), [(accelerator, "accelerator"), (layers, "lif_core")])
def test_no_output_depends_on_an_input_of_the_same_clock(tmp_path, made, top):
    folder = made(tmp_path)
    given = "select -set given i:* i:clock %d"
    inputs = listed(folder, top, given, "@given")
    assert "reset" in inputs
    assert {name for name in inputs if name.endswith(("valid", "ready"))}
    seen = f"select -set seen @given %co*:{REGISTERS}"
    assert listed(folder, top, given, seen, "@seen o:* %i") == set()
    # The other way round, what is looked for is there: through registers all is reached.
    reached = listed(folder, top, given, "@given %co* o:* %i")
    assert any(name.endswith("tdata") for name in reached)


@pytest.mark.parametrize(("made", "top"), [(accelerator, "accelerator"), (layers, "lif_core")])
def test_there_are_no_latches_and_no_loops(tmp_path, made, top):
    folder = made(tmp_path)
    assert listed(folder, top, "t:$*latch* t:$adff* t:$sr") == set()
    assert listed(folder, top, "t:$*dff*")
    yosys(folder, top, "proc", "flatten", "opt_clean", "check -assert")


@needs("iverilog")
@pytest.mark.parametrize("hardware", [ON_CHIP, STREAMED], ids=["on chip", "streamed"])
def test_the_netlist_computes_what_the_source_does(tmp_path, hardware):
    """Gates that Yosys made, in Icarus: both tools read widths and signs alike."""

    def netlist(folder: Path) -> list[str]:
        said = yosys(folder, "accelerator", "synth -flatten", "write_verilog -noattr netlist.v")
        assert "ABC RESULTS" in said
        return ["netlist.v"]

    network, q = small(1)
    same(tmp_path, assemble(network, hardware), q, BUSY, netlist)
