// Drives the accelerator for Icarus, which keeps unknown values unknown: what was never written and
// is used all the same comes out as x. Reads inputs.mem (the numbers of all samples) and, where they
// are streamed, kernels.mem and weights.mem; prints for each sample
//   cycles stalls saturated result result ...
`timescale 1ns / 1ps
module testbench #(
    parameter integer SAMPLES = 1,
    parameter integer INPUTS = 1,
    parameter integer RESULTS = 1,
    parameter integer GAP = 0,      // percent of the clocks in which a stream does nothing
    parameter integer SEED = 1,
    parameter integer RESET_AT = 0  // clocks of the first run after which all is reset; 0: never
);
  localparam integer KERNEL = network_pkg::UNITS * network_pkg::WEIGHT;
  localparam integer WEIGHTS = network_pkg::LINEAR * network_pkg::WEIGHT;
  localparam integer PATIENCE = 400000;

  logic clock = 1'b0, reset = 1'b1, rewind = 1'b1;
  logic awvalid = 1'b0, wvalid = 1'b0, arvalid = 1'b0;
  logic awready, wready, bvalid, arready, rvalid;
  logic [4:0] address = '0;
  logic [31:0] data = '0, answer, read;
  logic [1:0] bresp, rresp;
  logic input_valid = 1'b0, kernel_valid = 1'b0, weight_valid = 1'b0;
  logic input_ready, kernel_ready, weight_ready, result_valid, result_last;
  logic result_ready = 1'b0;
  logic [63:0] result;
  logic [7:0] numbers[0:SAMPLES*INPUTS-1];
  logic [KERNEL-1:0] kernels[0:network_pkg::KERNELS-1];
  logic [WEIGHTS-1:0] weights[0:network_pkg::WEIGHTS-1];
  logic [63:0] results[0:RESULTS-1];
  integer seed = SEED, sample = 0, next_input = 0, next_kernel = 0, next_weight = 0, got = 0;
  integer clocks = 0;

  initial begin
    $readmemh("inputs.mem", numbers);
    $readmemh("kernels.mem", kernels);
    $readmemh("weights.mem", weights);
  end

  always #5 clock = ~clock;

  accelerator accelerator (
      .clock,
      .reset,
      .s_axi_awvalid(awvalid),
      .s_axi_awready(awready),
      .s_axi_awaddr(address),
      .s_axi_wvalid(wvalid),
      .s_axi_wready(wready),
      .s_axi_wdata(data),
      .s_axi_wstrb(4'b0001),
      .s_axi_bvalid(bvalid),
      .s_axi_bready(1'b1),
      .s_axi_bresp(bresp),
      .s_axi_arvalid(arvalid),
      .s_axi_arready(arready),
      .s_axi_araddr(address),
      .s_axi_rvalid(rvalid),
      .s_axi_rready(1'b1),
      .s_axi_rdata(answer),
      .s_axi_rresp(rresp),
      .s_axis_input_tvalid(input_valid),
      .s_axis_input_tready(input_ready),
      .s_axis_input_tdata(input_valid ? numbers[sample*INPUTS+next_input] : 8'bx),
      .s_axis_kernel_tvalid(kernel_valid),
      .s_axis_kernel_tready(kernel_ready),
      .s_axis_kernel_tdata({8'bx, kernel_valid ? kernels[next_kernel] : {KERNEL{1'bx}}}),
      .s_axis_weight_tvalid(weight_valid),
      .s_axis_weight_tready(weight_ready),
      .s_axis_weight_tdata({8'bx, weight_valid ? weights[next_weight] : {WEIGHTS{1'bx}}}),
      .m_axis_result_tvalid(result_valid),
      .m_axis_result_tready(result_ready),
      .m_axis_result_tdata(result),
      .m_axis_result_tlast(result_last)
  );

  task automatic fail(input string what);
    $display("failed: %s at clock %0d", what, clocks);
    $finish(1);
  endtask

  function automatic logic moves();
    moves = $unsigned($random(seed)) % 100 >= GAP;
  endfunction

  // A word on offer stays until it is taken.
  always @(posedge clock) begin
    clocks <= clocks + 1;
    if (clocks > PATIENCE) fail("no end");
    result_ready <= moves();
    if (rewind) begin
      {input_valid, kernel_valid, weight_valid} <= '0;
      next_input <= 0;
      next_kernel <= 0;
      next_weight <= 0;
      got <= 0;
    end else begin
      if (input_valid & input_ready) next_input <= next_input + 1;
      if (kernel_valid & kernel_ready) next_kernel <= next_kernel + 1;
      if (weight_valid & weight_ready) next_weight <= next_weight + 1;
      input_valid <= (input_valid & ~input_ready) |
          (moves() && next_input + 32'(input_valid & input_ready) < INPUTS);
      kernel_valid <= (kernel_valid & ~kernel_ready) |
          (moves() && next_kernel + 32'(kernel_valid & kernel_ready) < network_pkg::KERNELS);
      weight_valid <= (weight_valid & ~weight_ready) |
          (moves() && next_weight + 32'(weight_valid & weight_ready) < network_pkg::WEIGHTS);
      if (result_valid & result_ready) begin
        if (got == RESULTS) fail("too many results");
        if (result_last !== (got + 1 == RESULTS)) fail("tlast is wrong");
        if (^result === 1'bx) fail("an unknown result");
        results[got] <= result;
        got <= got + 1;
      end
    end
    if (~reset & (result_valid === 1'bx)) fail("an unknown tvalid");
  end

  task automatic write_register(input logic [4:0] where, input logic [31:0] what);
    address <= where;
    data <= what;
    {awvalid, wvalid} <= 2'b11;
    do @(posedge clock); while (~(awready & wready));
    {awvalid, wvalid} <= 2'b00;
    do @(posedge clock); while (~bvalid);
  endtask

  task automatic read_register(input logic [4:0] where);
    address <= where;
    arvalid <= 1'b1;
    do @(posedge clock); while (~arready);
    arvalid <= 1'b0;
    while (~rvalid) @(posedge clock);
    read = answer;
    if (^read === 1'bx) fail("an unknown register");
    @(posedge clock);
  endtask

  task automatic reset_all();
    reset  <= 1'b1;
    rewind <= 1'b1;
    repeat (3) @(posedge clock);
    reset <= 1'b0;
  endtask

  task automatic start_run();
    rewind <= 1'b1;
    repeat (2) @(posedge clock);
    rewind <= 1'b0;
    write_register(5'h00, 32'd1);
  endtask

  initial begin
    reset_all();
    while (sample < SAMPLES) begin
      start_run();
      if (sample == 0 && RESET_AT > 0) begin
        repeat (RESET_AT) @(posedge clock);
        reset_all();
        start_run();
      end
      read_register(5'h04);
      while (read != 2) read_register(5'h04);
      while (got < RESULTS) @(posedge clock);
      repeat (16) @(posedge clock);
      read_register(5'h08);
      $write("%0d", read);
      read_register(5'h0c);
      $write(" %0d", read);
      read_register(5'h10);
      $write(" %0d", read);
      for (integer i = 0; i < RESULTS; i++) $write(" %0d", $signed(results[i]));
      $write("\n");
      sample = sample + 1;
    end
    $finish(0);
  end
endmodule
