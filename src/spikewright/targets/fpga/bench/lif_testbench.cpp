// Drives a core of spiking layers as its streams would: offers events with random gaps, takes those
// that come out with random back-pressure, and if asked to, resets it in the middle of a run.
//
//   simulator COMMANDS
//
// The first line of COMMANDS: events samples gap seed reset_at
//   gap: percent of clocks in which a stream does nothing; reset_at: clocks after which all is reset
//   and begins anew, 0 for never. Then follow the events, 32 bits each, hexadecimal; each sample ends
//   with an event of the kind FRESH, and the next one is offered when that has come out.
// For each sample one line comes out: clocks, busy and saturated of each layer, then the events out.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vlif_core.h"
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
static bool offered, waits;  // an event once offered stays; waits for the sample to come out
static std::vector<uint64_t> told;

// Returns whether the end of a sample came out.
static bool clock_once() {
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
  if (!came || !is_fresh(static_cast<uint32_t>(told.back() >> 62))) return false;
  waits = false;
  return true;
}

static void reset() {
  top->reset = 1;
  offered = false;
  waits = true;  // nothing is offered while it is reset
  for (int i = 0; i < 2; i++) clock_once();
  top->reset = 0;
  waits = false;
  next_event = 0;
  told.clear();
}

template <typename Port> static std::vector<uint32_t> words(const Port &port) {
  std::vector<uint32_t> found(sizeof(port) / sizeof(uint32_t));
  std::memcpy(found.data(), &port, sizeof(port));
  return found;
}

template <typename Port>
static void print_change(const Port &port, std::vector<uint32_t> &before, size_t layers) {
  std::vector<uint32_t> now = words(port);
  for (size_t i = 0; i < layers; i++) std::cout << ' ' << now[i] - before[i];
  before = now;
}

int main(int argc, char **argv) {
  VerilatedContext context;
  context.commandArgs(argc, argv);
  std::ifstream commands(argv[1]);
  size_t count, samples, layers;
  uint64_t reset_at;
  unsigned seed;
  commands >> count >> samples >> layers >> gap >> seed >> reset_at >> std::hex;
  generator.seed(seed);
  for (uint32_t event; commands >> event;) events.push_back(event);
  if (events.size() != count) fail("the commands end too early");

  auto owner = std::make_unique<Vlif_core>(&context);
  top = owner.get();
  reset();
  if (reset_at) {
    for (uint64_t i = 0; i < reset_at; i++) clock_once();
    reset();
  }
  std::vector<uint32_t> busy(layers), saturated(layers);
  for (size_t sample = 0; sample < samples; sample++) {
    for (int i = 0; i < 64 && !top->s_axis_tready; i++) clock_once();
    uint64_t begin = clocks;
    told.clear();
    while (!clock_once()) {
    }
    std::cout << clocks - begin;
    print_change(top->busy, busy, layers);
    print_change(top->saturated, saturated, layers);
    for (uint64_t event : told) std::cout << ' ' << event;
    std::cout << '\n';
  }
  top->final();
  return 0;
}
