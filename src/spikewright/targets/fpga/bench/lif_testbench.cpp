// Drives a core of spiking layers as its streams would: offers events with random gaps, takes those
// that come out with random back-pressure, and if asked to, resets it in the middle of a run. Counters
// are read over AXI4-Lite; where streams have gaps, registers are also read while the core runs.
//
//   simulator COMMANDS
//
// The first line of COMMANDS: events samples layers identity gap seed reset_at by_register
//   gap: percent of clocks in which a stream does nothing; reset_at: clocks after which all is reset
//   and begins anew, 0 for never; by_register: whether by a register, else by the wire. Then follow the events, 32 bits each, hexadecimal; each sample ends
//   with an event of the kind FRESH, and the next one is offered when that has come out.
// For each sample one line comes out: clocks, busy and saturated of each layer, then the events out.
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vlif_core.h"
#include "axi_lite.h"
#include "verilated.h"

static Vlif_core *top;
static std::mt19937 generator;
static int gap;
static uint64_t clocks, stuck;
static const uint64_t PATIENCE = 1u << 20;

static bool moves() { return static_cast<int>(generator() % 100) >= gap; }

static void fail(const std::string &what) {
  std::cerr << "testbench: " << what << " at clock " << clocks << std::endl;
  std::exit(1);
}

static bool is_fresh(uint32_t kind) { return kind == 2; }

static std::vector<uint32_t> events;
static size_t next_event;
static bool ended;           // the end of a sample came out in the last clock or before it
static bool offered, waits;  // an event once offered stays; waits for the sample to come out
static std::vector<uint64_t> told;

static void clock_once() {
  offered = offered || (!waits && next_event < events.size() && moves());
  top->s_axis_tvalid = offered;
  top->s_axis_tdata = offered ? events[next_event] : generator();
  top->m_axis_tready = moves();
  top->clock = 0;
  top->eval();
  bool taken = !top->reset && offered && top->s_axis_tready;
  bool came = !top->reset && top->m_axis_tvalid && top->m_axis_tready;
  if (came) told.push_back(top->m_axis_tdata);
  top->clock = 1;
  top->eval();
  if (taken) {
    waits = is_fresh(events[next_event] >> 30);
    offered = false;
    next_event++;
  }
  clocks++;
  stuck = came || taken ? 0 : stuck + 1;
  if (stuck > PATIENCE) fail("no end");
  if (came && is_fresh(static_cast<uint32_t>(told.back() >> 62))) ended = true;
}

static uint32_t read_register(uint32_t address) { return axi_read(top, clock_once, moves, address); }

static void check_facts(uint32_t identity, uint32_t layers) {
  if (read_register(4) != identity || read_register(8) != layers) fail("other facts");
  if (read_register(12) || read_register(0)) fail("a register that is not there");
}

static void begin_anew() {
  waits = ended = offered = false;
  next_event = 0;
  told.clear();
}

static void reset() {
  top->reset = 1;
  axi_quiet(top);
  offered = false;
  waits = true;  // nothing is offered while it is reset
  for (int i = 0; i < 2; i++) clock_once();
  top->reset = 0;
  begin_anew();
}

static void reset_by_register() {
  do {  // an event on offer stays until it is taken; it would be the first after the reset
    waits = true;
    if (offered) clock_once();
  } while (offered || !waits);
  axi_write(top, clock_once, moves, 0, 0);  // which does nothing
  axi_write(top, clock_once, moves, 0, 1);
  begin_anew();
}

static void print_change(std::vector<uint32_t> &before, uint32_t address) {
  for (size_t i = 0; i < before.size(); i++) {
    uint32_t now = read_register(address + 8 * i);
    std::cout << ' ' << now - before[i];
    before[i] = now;
  }
}

int main(int argc, char **argv) {
  VerilatedContext context;
  context.commandArgs(argc, argv);
  std::ifstream commands(argv[1]);
  size_t count, samples, layers;
  uint64_t reset_at;
  uint32_t identity;
  unsigned seed;
  bool by_register;
  commands >> count >> samples >> layers >> identity >> gap >> seed >> reset_at >> by_register;
  generator.seed(seed);
  for (uint32_t event; commands >> std::hex >> event;) events.push_back(event);
  if (events.size() != count) fail("the commands end too early");

  auto owner = std::make_unique<Vlif_core>(&context);
  top = owner.get();
  reset();
  if (reset_at) {
    for (uint64_t i = 0; i < reset_at; i++) clock_once();
    by_register ? reset_by_register() : reset();
  }
  std::vector<uint32_t> busy(layers), saturated(layers);
  for (size_t sample = 0; sample < samples; sample++) {
    waits = true;
    for (int i = 0; i < 64 && !top->s_axis_tready; i++) clock_once();
    uint64_t begin = clocks;
    told.clear();
    waits = ended = false;
    while (!ended) {
      clock_once();
      if (gap && generator() % 64 == 0) check_facts(identity, layers);
    }
    std::cout << clocks - begin;
    waits = true;
    print_change(busy, 16);
    print_change(saturated, 20);
    for (uint64_t event : told) std::cout << ' ' << event;
    std::cout << '\n';
  }
  check_facts(identity, layers);
  top->final();
  return 0;
}
