// How a processor writes and reads registers over AXI4-Lite: one access at a time, whose parts come
// and are taken when `moves` says so.
#pragma once
#include <cstdint>

template <typename Top> void axi_quiet(Top *top) {
  top->s_axi_awvalid = top->s_axi_wvalid = top->s_axi_bready = 0;
  top->s_axi_arvalid = top->s_axi_rready = 0;
  top->s_axi_wstrb = 15;
}

// Address and data are offered at once or one before the other; each stays until it is taken.
template <typename Top, typename Clock, typename Moves>
void axi_write(Top *top, Clock clock_once, Moves moves, uint32_t address, uint32_t data) {
  top->s_axi_awaddr = address;
  top->s_axi_wdata = data;
  bool addressed = false, written = false;
  while (!addressed || !written) {
    if (!addressed && moves()) top->s_axi_awvalid = 1;
    if (!written && moves()) top->s_axi_wvalid = 1;
    addressed = addressed || (top->s_axi_awvalid && top->s_axi_awready);
    written = written || (top->s_axi_wvalid && top->s_axi_wready);
    clock_once();
    if (addressed) top->s_axi_awvalid = 0;
    if (written) top->s_axi_wvalid = 0;
  }
  while (!top->s_axi_bvalid || !moves()) clock_once();
  top->s_axi_bready = 1;
  clock_once();
  top->s_axi_bready = 0;
}

template <typename Top, typename Clock, typename Moves>
uint32_t axi_read(Top *top, Clock clock_once, Moves moves, uint32_t address) {
  top->s_axi_araddr = address;
  top->s_axi_arvalid = 1;
  while (!top->s_axi_arready) clock_once();
  clock_once();
  top->s_axi_arvalid = 0;
  while (!top->s_axi_rvalid) clock_once();
  uint32_t data = top->s_axi_rdata;
  while (!moves()) clock_once();
  top->s_axi_rready = 1;
  clock_once();
  top->s_axi_rready = 0;
  return data;
}
