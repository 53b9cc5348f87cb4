// Drives the accelerator as a processor and its streams would: writes and reads the control
// registers over AXI4-Lite, offers inputs (and weights, where they are streamed) with random gaps,
// takes results with random back-pressure, and if asked to, resets it in the middle of a run.
//
//   simulator COMMANDS
//
// The first line of COMMANDS: samples inputs results kernels weights gap seed reset_at
//   gap: percent of clocks in which a stream does nothing; reset_at: clocks of the first run after
//   which it is reset, 0 for never. Then follow the inputs of all samples, and the words of kernels
//   and weights (hexadecimal, least significant byte first) that each sample streams anew.
// For each sample one line comes out: cycles stalls saturated result result ...
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vaccelerator.h"
#include "axi_lite.h"
#include "verilated.h"

using Bytes = std::vector<uint8_t>;

static Vaccelerator *top;
static std::mt19937 generator;
static int gap;
static uint64_t clocks;
static const uint64_t PATIENCE = 1ull << 28;

static bool moves() { return static_cast<int>(generator() % 100) >= gap; }

static void fail(const std::string &what) {
  std::cerr << "testbench: " << what << " at clock " << clocks << std::endl;
  std::exit(1);
}

// A stream into the accelerator. Once a word is on offer it stays until it is taken.
struct Source {
  std::vector<Bytes> words;
  size_t next = 0;
  bool offered = false;

  void offer() { offered = offered || (next < words.size() && moves()); }
  void taken(bool ready) {
    if (offered && ready) {
      offered = false;
      next++;
    }
  }
  template <typename Port> void drive(Port &port) const {
    if (offered) std::memcpy(&port, words[next].data(), std::min(sizeof(port), words[next].size()));
  }
};

static Source input, kernel, weight;
static std::vector<int64_t> results;
static std::vector<bool> lasts;

static void clock_once() {
  input.offer();
  kernel.offer();
  weight.offer();
  top->s_axis_input_tvalid = input.offered;
  top->s_axis_kernel_tvalid = kernel.offered;
  top->s_axis_weight_tvalid = weight.offered;
  input.drive(top->s_axis_input_tdata);
  kernel.drive(top->s_axis_kernel_tdata);
  weight.drive(top->s_axis_weight_tdata);
  top->m_axis_result_tready = moves();
  top->clock = 0;
  top->eval();
  bool input_ready = top->s_axis_input_tready, kernel_ready = top->s_axis_kernel_tready;
  bool weight_ready = top->s_axis_weight_tready;
  if (!top->reset && top->m_axis_result_tvalid && top->m_axis_result_tready) {
    results.push_back(static_cast<int64_t>(top->m_axis_result_tdata));
    lasts.push_back(top->m_axis_result_tlast);
  }
  top->clock = 1;
  top->eval();
  input.taken(input_ready);
  kernel.taken(kernel_ready);
  weight.taken(weight_ready);
  if (++clocks > PATIENCE) fail("no end");
}

static void write_register(uint32_t address, uint32_t data) {
  axi_write(top, clock_once, moves, address, data);
}

static uint32_t read_register(uint32_t address) {
  return axi_read(top, clock_once, moves, address);
}

static void reset() {
  top->reset = 1;
  // Inputs too start at random where registers do.
  axi_quiet(top);
  input.offered = kernel.offered = weight.offered = false;
  Source quiet;
  std::vector<Source> kept = {input, kernel, weight};
  input = kernel = weight = quiet;
  for (int i = 0; i < 3; i++) clock_once();
  top->reset = 0;
  input = kept[0], kernel = kept[1], weight = kept[2];
  results.clear();
  lasts.clear();
}

static void start_run(const std::vector<Bytes> &numbers) {
  input = Source{numbers};
  kernel.next = weight.next = 0;
  kernel.offered = weight.offered = false;
  results.clear();
  lasts.clear();
  write_register(0, 1);
}

static Bytes word(std::istream &commands) {
  std::string text;
  commands >> text;
  Bytes found;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    found.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  found.resize(found.size() + 8);
  return found;
}

int main(int argc, char **argv) {
  VerilatedContext context;
  context.commandArgs(argc, argv);
  std::ifstream commands(argv[1]);
  size_t samples, inputs, count, kernels, weights;
  uint64_t reset_at;
  unsigned seed;
  commands >> samples >> inputs >> count >> kernels >> weights >> gap >> seed >> reset_at;
  generator.seed(seed);
  std::vector<std::vector<Bytes>> numbers(samples);
  for (auto &sample : numbers)
    for (size_t i = 0; i < inputs; i++) sample.push_back(word(commands));
  for (size_t i = 0; i < kernels; i++) kernel.words.push_back(word(commands));
  for (size_t i = 0; i < weights; i++) weight.words.push_back(word(commands));
  if (!commands) fail("the commands end too early");

  auto owner = std::make_unique<Vaccelerator>(&context);
  top = owner.get();
  reset();
  for (size_t sample = 0; sample < samples; sample++) {
    start_run(numbers[sample]);
    if (sample == 0 && reset_at) {
      for (uint64_t i = 0; i < reset_at; i++) clock_once();
      reset();
      start_run(numbers[sample]);
    }
    while (read_register(4) != 2)
      for (int i = 0; i < 16; i++) clock_once();
    for (int i = 0; i < 10000 && results.size() < count; i++) clock_once();
    for (int i = 0; i < 16; i++) clock_once();
    if (results.size() != count) fail(std::to_string(results.size()) + " results");
    for (size_t i = 0; i < count; i++)
      if (lasts[i] != (i + 1 == count)) fail("tlast is wrong");
    std::cout << read_register(8) << ' ' << read_register(12) << ' ' << read_register(16);
    for (int64_t result : results) std::cout << ' ' << result;
    std::cout << '\n';
  }
  top->final();
  return 0;
}
