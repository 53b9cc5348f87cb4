// The whole accelerator for the network that network_pkg describes.
//
//   numbers -> input_unit ------------------------+
//                                                 v
//   kernels -> map_unit    --> requantisers --> row_writer --> activation_memory
//   weights -> linear_unit -->      |                            |  (ping, pong)
//                    (partial_sums) |                            |
//                ^                  +--> stream_fifo -> results  |
//                +-----------------------------------------------+
//   sequencer: instructions -> settings, starts      control_registers: AXI4-Lite
//
// One unit works at a time. Reset is synchronous; it may come in the middle of a run, after which
// the next start finds everything as new.
module accelerator (
    input  logic                                            clock,
    input  logic                                            reset,
    // Control, AXI4-Lite.
    input  logic                                            s_axi_awvalid,
    output logic                                            s_axi_awready,
    input  logic [                                     4:0] s_axi_awaddr,
    input  logic                                            s_axi_wvalid,
    output logic                                            s_axi_wready,
    input  logic [                                    31:0] s_axi_wdata,
    input  logic [                                     3:0] s_axi_wstrb,
    output logic                                            s_axi_bvalid,
    input  logic                                            s_axi_bready,
    output logic [                                     1:0] s_axi_bresp,
    input  logic                                            s_axi_arvalid,
    output logic                                            s_axi_arready,
    input  logic [                                     4:0] s_axi_araddr,
    output logic                                            s_axi_rvalid,
    input  logic                                            s_axi_rready,
    output logic [                                    31:0] s_axi_rdata,
    output logic [                                     1:0] s_axi_rresp,
    // Input numbers, one a beat, AXI4-Stream.
    input  logic                                            s_axis_input_tvalid,
    output logic                                            s_axis_input_tready,
    /* verilator lint_off UNUSEDSIGNAL */  // bits above those of a number
    input  logic [                                     7:0] s_axis_input_tdata,
    /* verilator lint_on UNUSEDSIGNAL */
    // Kernels and weights, where they are not on the chip: a word a beat, filled up to whole bytes.
    input  logic                                            s_axis_kernel_tvalid,
    output logic                                            s_axis_kernel_tready,
    input  logic                                            s_axis_weight_tvalid,
    output logic                                            s_axis_weight_tready,
    /* verilator lint_off UNUSEDSIGNAL */  // what fills up
    input  logic [(network_pkg::UNITS*network_pkg::WEIGHT+7)/8*8-1:0]  s_axis_kernel_tdata,
    input  logic [(network_pkg::LINEAR*network_pkg::WEIGHT+7)/8*8-1:0] s_axis_weight_tdata,
    /* verilator lint_on UNUSEDSIGNAL */
    // Results, sign extended, one a beat.
    output logic                                            m_axis_result_tvalid,
    input  logic                                            m_axis_result_tready,
    output logic [                                    63:0] m_axis_result_tdata,
    output logic                                            m_axis_result_tlast
);
  localparam integer VALUE = network_pkg::VALUE;
  localparam integer ADDRESS = network_pkg::ADDRESS;
  localparam integer WORD = network_pkg::WORD;
  localparam integer UNITS = network_pkg::UNITS;
  localparam integer LINEAR = network_pkg::LINEAR;
  localparam integer SUM = network_pkg::SUM;
  localparam integer WEIGHT = network_pkg::WEIGHT;
  localparam integer ACTIVATION = network_pkg::ACTIVATION;
  localparam integer RATE = network_pkg::RATE;
  localparam integer PLANES = RATE != 0 ? 2 ** ACTIVATION - 1 : ACTIVATION;
  localparam integer SHIFT = $clog2(SUM + network_pkg::LEFT + 1);
  localparam integer BITS = $clog2(ACTIVATION + 1);

  logic start, busy, stalled;
  logic [UNITS-1:0] saturated;
  logic [instruction_pkg::SETTINGS*VALUE-1:0] settings;
  logic start_input, start_map, start_linear, done_input, done_map, done_linear;

  control_registers #(
      .IDENTITY(network_pkg::IDENTITY),
      .UNITS(UNITS)
  ) control (
      .clock,
      .reset,
      .awvalid(s_axi_awvalid),
      .awready(s_axi_awready),
      .awaddr(s_axi_awaddr),
      .wvalid(s_axi_wvalid),
      .wready(s_axi_wready),
      .wdata(s_axi_wdata),
      .wstrb(s_axi_wstrb),
      .bvalid(s_axi_bvalid),
      .bready(s_axi_bready),
      .arvalid(s_axi_arvalid),
      .arready(s_axi_arready),
      .araddr(s_axi_araddr),
      .rvalid(s_axi_rvalid),
      .rready(s_axi_rready),
      .rdata(s_axi_rdata),
      .start,
      .busy,
      .stalled,
      .saturated
  );
  assign s_axi_bresp = 2'b00;
  assign s_axi_rresp = 2'b00;

  sequencer #(
      .VALUE(VALUE),
      .DEPTH(network_pkg::INSTRUCTIONS),
      .IMAGE("instructions.mem")
  ) program_counter (
      .clock,
      .reset,
      .start,
      .busy,
      .settings,
      .start_input,
      .start_map,
      .start_linear,
      .done(done_input | done_map | done_linear)
  );

  // Weights and biases begin anew with each inference.
  logic rewind;
  logic kernel_ready, kernel_valid, kernel_bias_ready, kernel_bias_valid;
  logic weight_ready, weight_valid, weight_bias_ready, weight_bias_valid;
  logic [UNITS*WEIGHT-1:0] kernel;
  logic [UNITS*SUM-1:0] kernel_bias;
  logic [LINEAR*WEIGHT-1:0] weights;
  logic [SUM-1:0] weight_bias;
  assign rewind = reset | start;

  weight_source #(
      .WIDTH(UNITS * WEIGHT),
      .DEPTH(network_pkg::KERNELS),
      .STREAMED(network_pkg::STREAM_KERNELS),
      .IMAGE("kernels.mem")
  ) kernel_source (
      .clock,
      .rewind,
      .ready(kernel_ready),
      .valid(kernel_valid),
      .data(kernel),
      .stream_ready(s_axis_kernel_tready),
      .stream_valid(s_axis_kernel_tvalid),
      .stream_data(s_axis_kernel_tdata[UNITS*WEIGHT-1:0])
  );

  weight_source #(
      .WIDTH(LINEAR * WEIGHT),
      .DEPTH(network_pkg::WEIGHTS),
      .STREAMED(network_pkg::STREAM_WEIGHTS),
      .IMAGE("weights.mem")
  ) linear_source (
      .clock,
      .rewind,
      .ready(weight_ready),
      .valid(weight_valid),
      .data(weights),
      .stream_ready(s_axis_weight_tready),
      .stream_valid(s_axis_weight_tvalid),
      .stream_data(s_axis_weight_tdata[LINEAR*WEIGHT-1:0])
  );

  stream_memory #(
      .WIDTH(UNITS * SUM),
      .DEPTH(network_pkg::KERNEL_BIASES),
      .IMAGE("kernel_biases.mem")
  ) kernel_biases (
      .clock,
      .rewind,
      .ready(kernel_bias_ready),
      .valid(kernel_bias_valid),
      .data(kernel_bias)
  );

  stream_memory #(
      .WIDTH(SUM),
      .DEPTH(network_pkg::WEIGHT_BIASES),
      .IMAGE("weight_biases.mem")
  ) weight_biases (
      .clock,
      .rewind,
      .ready(weight_bias_ready),
      .valid(weight_bias_valid),
      .data(weight_bias)
  );

  // Units.
  logic room, room_or_kept, flushed, raw, keep, linear_works;
  logic [VALUE-1:0] bits;
  logic stalled_input, stalled_map, stalled_linear;
  logic flush_input, flush_map, flush_linear;
  logic put_input, valid_map, valid_linear;
  logic [UNITS*SUM-1:0] sums_map, sums_made, sums;
  logic [SUM-1:0] sum_linear;
  logic [ADDRESS-1:0] read_map, read_linear;
  logic [WORD-1:0] read_data;

  assign bits = settings[instruction_pkg::BITS*VALUE+:VALUE];
  assign raw = bits == 0;
  assign room_or_kept = room | keep;
  assign stalled = stalled_input | stalled_map | stalled_linear;
  always_ff @(posedge clock)
    if (start_map) linear_works <= 1'b0;
    else if (start_linear) linear_works <= 1'b1;

  input_unit #(
      .VALUE(VALUE)
  ) input_numbers (
      .clock,
      .reset,
      .settings,
      .start(start_input),
      .done(done_input),
      .stalled(stalled_input),
      .ready(s_axis_input_tready),
      .valid(s_axis_input_tvalid),
      .put(put_input),
      .flush(flush_input),
      .flushed
  );

  map_unit #(
      .VALUE(VALUE),
      .ADDRESS(ADDRESS),
      .WORD(WORD),
      .LANES(network_pkg::LANES),
      .UNITS(UNITS),
      .SUM(SUM),
      .WEIGHT(WEIGHT),
      .ACTIVATION(ACTIVATION),
      .RATE(RATE),
      .PAD(network_pkg::PAD),
      .OFFSET(network_pkg::OFFSET),
      .STRIDE(network_pkg::STRIDE),
      .WINDOW(network_pkg::WINDOW),
      .LIFT(network_pkg::LIFT),
      .TAPS(network_pkg::TAPS)
  ) maps (
      .clock,
      .reset,
      .settings,
      .start(start_map),
      .done(done_map),
      .stalled(stalled_map),
      .kernel_ready,
      .kernel_valid,
      .kernel,
      .bias_ready(kernel_bias_ready),
      .bias_valid(kernel_bias_valid),
      .bias(kernel_bias),
      .read_address(read_map),
      .read_data,
      .room(room_or_kept),
      .sum_valid(valid_map),
      .sums(sums_map),
      .flush(flush_map),
      .flushed
  );

  linear_unit #(
      .VALUE(VALUE),
      .ADDRESS(ADDRESS),
      .WORD(WORD),
      .LINEAR(LINEAR),
      .SUM(SUM),
      .WEIGHT(WEIGHT),
      .PLANES(PLANES),
      .LIFT(network_pkg::LIFT),
      .RATE(RATE)
  ) linear (
      .clock,
      .reset,
      .settings,
      .start(start_linear),
      .done(done_linear),
      .stalled(stalled_linear),
      .weight_ready,
      .weight_valid,
      .weights,
      .bias_ready(weight_bias_ready),
      .bias_valid(weight_bias_valid),
      .bias(weight_bias),
      .read_address(read_linear),
      .read_data,
      .room(room_or_kept),
      .sum_valid(valid_linear),
      .sum(sum_linear),
      .flush(flush_linear),
      .flushed
  );

  // Sums of several terms.
  assign sums_made = linear_works ? (UNITS * SUM)'(sum_linear) : sums_map;
  if (network_pkg::SUMS > 0) begin : terms
    partial_sums #(
        .WIDTH(SUM),
        .UNITS(UNITS),
        .DEPTH(network_pkg::SUMS)
    ) between (
        .clock,
        .start(start_map | start_linear),
        .resume(settings[instruction_pkg::KEEP*VALUE+2]),
        .keep,
        .add(settings[instruction_pkg::KEEP*VALUE+1]),
        .put(valid_map | valid_linear),
        .sums(sums_made),
        .totals(sums)
    );
    assign keep = settings[instruction_pkg::KEEP*VALUE];
  end else begin : no_terms
    assign keep = 1'b0;
    assign sums = sums_made;
  end

  // From sums to activations; two clocks.
  logic [UNITS*ACTIVATION-1:0] activations, values;
  logic put_1, put_2;

  for (genvar unit = 0; unit < UNITS; unit++) begin : each
    logic above;
    requantiser #(
        .SUM(SUM),
        .ACTIVATION(ACTIVATION),
        .LEFT(network_pkg::LEFT),
        .SHIFT(SHIFT),
        .BITS(BITS)
    ) requantise (
        .clock,
        .sum(sums[unit*SUM+:SUM]),
        .shift(settings[instruction_pkg::SHIFT*VALUE+:SHIFT]),
        .bits(settings[instruction_pkg::BITS*VALUE+:BITS]),
        .activation(activations[unit*ACTIVATION+:ACTIVATION]),
        .saturated(above)
    );
    // Units without an output channel hold what they like.
    assign saturated[unit] = above & put_2 &
        (settings[instruction_pkg::UNITS*VALUE+:VALUE] > VALUE'(unit));
  end

  always_ff @(posedge clock)
    if (reset) {put_1, put_2} <= '0;
    else {put_1, put_2} <= {(valid_map | valid_linear) & ~raw, put_1};

  // Into the activation memory, as spikes.
  logic [VALUE-1:0] steps;
  logic [UNITS*PLANES-1:0] spikes;
  logic write;
  logic [ADDRESS-1:0] write_address;
  logic [WORD-1:0] write_data;
  assign values = put_2 ? activations :
      (UNITS * ACTIVATION)'(ACTIVATION'(s_axis_input_tdata));
  assign steps = RATE != 0 ? ~({VALUE{1'b1}} << bits) : bits;

  for (genvar unit = 0; unit < UNITS; unit++) begin : sent
    spike_encoder #(
        .ACTIVATION(ACTIVATION),
        .PLANES(PLANES),
        .RATE(RATE)
    ) encoder (
        .value(values[unit*ACTIVATION+:ACTIVATION]),
        .spikes(spikes[unit*PLANES+:PLANES])
    );
  end

  row_writer #(
      .VALUE(VALUE),
      .ADDRESS(ADDRESS),
      .WORD(WORD),
      .UNITS(UNITS),
      .PLANES(PLANES)
  ) writer (
      .clock,
      .reset,
      .begin_map(start_input | start_map | start_linear),
      .target(settings[instruction_pkg::TARGET*VALUE+:VALUE]),
      .target_step(settings[instruction_pkg::TARGET_STEP*VALUE+:VALUE]),
      .units(settings[instruction_pkg::UNITS*VALUE+:VALUE]),
      .steps,
      .put(put_input | put_2),
      .spikes,
      .flush(flush_input | flush_map | flush_linear),
      .last(flushed),
      .write,
      .write_address,
      .write_data
  );

  activation_memory #(
      .WORD(WORD),
      .ADDRESS(ADDRESS),
      .DEPTH_0(network_pkg::DEPTH_0),
      .DEPTH_1(network_pkg::DEPTH_1)
  ) activation_planes (
      .clock,
      .write,
      .write_address,
      .write_data,
      .read_address(linear_works ? read_linear : read_map),
      .read_data
  );

  // Out of the chip.
  logic push;
  logic [VALUE-1:0] pushed;
  logic [SUM-1:0] result;
  assign push = (valid_map | valid_linear) & raw & ~keep;
  always_ff @(posedge clock)
    if (rewind) pushed <= '0;
    else if (push) pushed <= pushed + VALUE'(1);

  stream_fifo #(
      .WIDTH(SUM + 1)
  ) results (
      .clock,
      .reset,
      .push,
      .push_data({pushed + VALUE'(1) == settings[instruction_pkg::RESULTS*VALUE+:VALUE],
                  sums[SUM-1:0]}),
      .room,
      .ready(m_axis_result_tready),
      .valid(m_axis_result_tvalid),
      .data({m_axis_result_tlast, result})
  );
  assign m_axis_result_tdata = 64'($signed(result));
endmodule
