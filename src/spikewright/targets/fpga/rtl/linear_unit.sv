// Works out a fully connected layer, LINEAR outputs at once. It goes through the input features one
// by one; each fetches one word of weights and holds it for all steps: the last bit of the feature
// counts the weight, the one before it the doubled weight, and so on, so that weights are fetched
// once however many steps there are. In a rate code each spike counts the weight.
//
//   { BLOCK -> { FETCH -> ARRIVE -> SWEEP } per row of features -> SETTLE
//     -> { DRAIN -> FINISH -> FLUSH } per row of outputs } per block of LINEAR outputs
//
// Clocks of a run, with all streams ready (interpreter.py counts by the same formula):
//   blocks (2 + rows (steps + 1) + features steps) + outputs + 3 per end of a block or of a row of
//   outputs + steps of an activation per row; sums that go out have no rows
module linear_unit #(
    parameter integer VALUE = 16,
    parameter integer ADDRESS = 11,
    parameter integer WORD = 32,
    parameter integer LINEAR = 16,
    parameter integer SUM = 16,
    parameter integer WEIGHT = 3,
    parameter integer PLANES = 4,  // most steps of a feature
    parameter integer LIFT = 0,  // as far as weights are shifted
    parameter integer RATE = 0
) (
    input  logic                                       clock,
    input  logic                                       reset,
    /* verilator lint_off UNUSEDSIGNAL */  // a unit reads its own settings
    input  logic [instruction_pkg::SETTINGS*VALUE-1:0] settings,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic                                       start,
    output logic                                       done,
    output logic                                       stalled,
    // Weights of one feature to LINEAR outputs; one bias for each output.
    output logic                                       weight_ready,
    input  logic                                       weight_valid,
    input  logic [                  LINEAR*WEIGHT-1:0] weights,
    output logic                                       bias_ready,
    input  logic                                       bias_valid,
    input  logic [                            SUM-1:0] bias,
    output logic [                        ADDRESS-1:0] read_address,
    input  logic [                           WORD-1:0] read_data,
    input  logic                                       room,
    output logic                                       sum_valid,
    output logic [                            SUM-1:0] sum,
    output logic                                       flush,
    input  logic                                       flushed
);
  localparam integer LANE = $clog2(LINEAR + 1);
  localparam integer OPERAND = WEIGHT + LIFT + (RATE != 0 ? 0 : PLANES - 1);
  localparam [3:0] IDLE = 0, BLOCK = 1, FETCH = 2, ARRIVE = 3, SWEEP = 4;
  localparam [3:0] SETTLE = 5, DRAIN = 6, FINISH = 7, FLUSH = 8;

  `define SETTING(name) settings[instruction_pkg::name*VALUE+:VALUE]

  logic [3:0] state;
  logic [1:0] pause;
  logic [VALUE-1:0] address, step, features_left, columns_left, outputs_left, row_left;
  logic [LANE-1:0] lane;
  logic raw, take, tap, last_step, drain, last_lane, last_column, last_output, row_end, block_end;

  assign raw = `SETTING(BITS) == 0;
  assign take = (state == SWEEP) & (step == 0);
  assign weight_ready = take;
  assign tap = (state == SWEEP) & (~take | weight_valid);
  assign last_step = step + VALUE'(1) == `SETTING(STEPS);
  assign last_lane = lane == LANE'(LINEAR - 1);
  assign last_column = (row_left == VALUE'(1)) & ~raw;  // sums that go out have no rows
  assign last_output = outputs_left == VALUE'(1);
  assign bias_ready = (state == DRAIN) & (~raw | room);
  assign drain = bias_ready & bias_valid;
  assign stalled = (take & ~weight_valid) | ((state == DRAIN) & ~drain);
  assign flush = (state == FINISH) & (pause == 2) & row_end & ~raw;
  assign done = (outputs_left == 0) &
      ((state == FLUSH) ? flushed : (state == FINISH) & (pause == 2) & raw);
  assign read_address = address[ADDRESS-1:0];

  always_ff @(posedge clock) begin
    pause <= '0;
    case (state)
      IDLE: begin
        outputs_left <= `SETTING(OUTPUTS);
        row_left <= VALUE'(WORD);
        if (start) state <= BLOCK;
      end
      BLOCK: begin
        address <= `SETTING(SOURCE);
        features_left <= `SETTING(FEATURES);
        step <= '0;
        lane <= '0;
        block_end <= 1'b0;
        row_end <= 1'b0;
        state <= FETCH;
      end
      FETCH: begin
        address <= address + VALUE'(1);
        step <= last_step ? '0 : step + VALUE'(1);
        columns_left <= `SETTING(COLUMNS_IN);
        if (last_step) state <= ARRIVE;
      end
      ARRIVE: state <= SWEEP;
      SWEEP:
      if (tap) begin
        step <= last_step ? '0 : step + VALUE'(1);
        if (last_step) begin
          features_left <= features_left - VALUE'(1);
          columns_left  <= columns_left - VALUE'(1);
          if (features_left == VALUE'(1)) state <= SETTLE;
          else if (columns_left == VALUE'(1)) state <= FETCH;
        end
      end
      SETTLE: state <= DRAIN;
      DRAIN:
      if (drain) begin
        lane <= lane + LANE'(1);
        outputs_left <= outputs_left - VALUE'(1);
        row_left <= row_left - VALUE'(1);
        row_end <= last_output | last_column;
        block_end <= last_output | last_lane;
        if (last_output | last_lane | last_column) state <= FINISH;
      end
      FINISH: begin
        pause <= pause + 2'd1;
        if (flush) state <= FLUSH;
        else if (pause == 2) state <= ~block_end ? DRAIN : outputs_left == 0 ? IDLE : BLOCK;
      end
      FLUSH:
      if (flushed) begin
        row_left <= VALUE'(WORD);
        state <= ~block_end ? DRAIN : outputs_left == 0 ? IDLE : BLOCK;
      end
      default: ;
    endcase
    if (reset) state <= IDLE;
  end

  // The planes of one row of features, the last (bit 0 of each feature) at 0, come one clock after
  // their address; the feature at work is in bit 0 of each plane.
  logic [WORD-1:0] planes[0:PLANES-1];
  logic [PLANES-1:0] feature;
  logic arriving, shift;

  assign shift = tap & last_step;
  always_ff @(posedge clock) arriving <= state == FETCH;
  for (genvar p = 0; p < PLANES; p++) begin : plane
    always_ff @(posedge clock)
      if (arriving) planes[p] <= p == 0 ? read_data : planes[p == 0 ? 0 : p-1];
      else if (shift) planes[p] <= planes[p] >> 1;
    assign feature[p] = planes[p][0];
  end

  logic [LINEAR*SUM-1:0] sums;
  logic enable, spike, clear;
  always_ff @(posedge clock) begin
    enable <= tap;
    spike  <= |(feature & (PLANES'(1) << step));
    clear  <= state == BLOCK;
  end

  for (genvar output_lane = 0; output_lane < LINEAR; output_lane++) begin : each
    logic [OPERAND-1:0] operand, widened;  // weight 2^(step + lift)
    logic [WEIGHT-1:0] weight;
    logic [SUM-1:0] total;

    assign weight = weights[output_lane*WEIGHT+:WEIGHT];
    assign widened = OPERAND'($signed(weight));
    always_ff @(posedge clock) begin
      if (take) operand <= LIFT > 0 ? widened << `SETTING(LIFT_0) : widened;
      else if (RATE == 0) operand <= operand << 1;
      if (clear) total <= '0;
      else if (enable & spike) total <= total + SUM'($signed(operand));
    end
    assign sums[output_lane*SUM+:SUM] = total;
  end

  logic [SUM-1:0] chosen;
  number_mux #(
      .COUNT(LINEAR),
      .WIDTH(SUM),
      .INDEX(LANE)
  ) of_lane (
      .numbers(sums),
      .index(lane),
      .number(chosen)
  );

  always_ff @(posedge clock) begin
    sum_valid <= drain & ~reset;
    sum <= chosen + bias;
  end
  `undef SETTING
endmodule
