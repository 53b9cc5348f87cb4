// How a processor writes and reads registers over AXI4-Lite: one access at a time.
#pragma once
#include <cstdint>

template <typename Top> void axi_quiet(Top *top) {
  top->s_axi_awvalid = top->s_axi_wvalid = top->s_axi_bready = 0;
  top->s_axi_arvalid = top->s_axi_rready = 0;
}

template <typename Top, typename Clock>
void axi_write(Top *top, Clock clock_once, uint32_t address, uint32_t data) {
  top->s_axi_awaddr = address;
  top->s_axi_wdata = data;
  top->s_axi_awvalid = top->s_axi_wvalid = top->s_axi_bready = 1;
  clock_once();
  top->s_axi_awvalid = top->s_axi_wvalid = 0;
  while (!top->s_axi_bvalid) clock_once();
  clock_once();
  top->s_axi_bready = 0;
}

template <typename Top, typename Clock>
uint32_t axi_read(Top *top, Clock clock_once, uint32_t address) {
  top->s_axi_araddr = address;
  top->s_axi_arvalid = top->s_axi_rready = 1;
  clock_once();
  top->s_axi_arvalid = 0;
  while (!top->s_axi_rvalid) clock_once();
  uint32_t data = top->s_axi_rdata;
  clock_once();
  top->s_axi_rready = 0;
  return data;
}
