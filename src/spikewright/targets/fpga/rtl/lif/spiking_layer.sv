// A layer of neurons that works on events. Neurons are dealt with LANES at a time; GROUPS such
// groups make the layer, neuron n is lane n % LANES of group n / LANES.
//
//   LISTEN takes an event: the layer's own spikes of the step before first, then the input's.
//   SPIKE  ADD: one row of weights is added to the sums of all neurons, one group a clock; the last
//          clock takes the next event. Weights over a stream are added as they come.
//   STEP   SETTLE -> { LOAD } per group -> DRAIN until the last group has left -> TELL
//   FRESH  SETTLE -> { FILL } per group -> TELL
//
// What a neuron does in a step is no part of this module: `lane_...` lead to the datapaths of LANES
// neurons, which are made from the neuron's traced step. They are a pipeline with DEPTH ranks of
// registers within, one before them and one behind. A group enters in every clock; while the group
// behind them tells its spikes, one a clock, all of it stands still.
//
// Clocks in which the layer is busy, whatever the streams do (clocks.py counts by the same formula):
//   GROUPS per event, its own spikes included; GROUPS + DEPTH + 4 + spikes per step;
//   GROUPS + 2 per FRESH.
module spiking_layer #(
    parameter integer INPUTS = 2,
    parameter integer NEURONS = 2,
    parameter integer LANES = 1,
    parameter integer RECURRENT = 0,  // 1: its spikes come back one step later
    parameter integer READOUT = 0,    // 1: every neuron hands out a number in every step
    parameter integer STREAMED = 0,   // 1: weights come over a stream, see row_stream
    parameter integer DEPTH = 0,      // registers within the neurons, one after another
    parameter integer WEIGHT = 8,     // bits of a weight
    parameter integer SUM = 12,       // bits of a sum of weights, which cannot overflow
    parameter integer BIAS = 12,      // bits of a bias
    parameter integer STATE = 16,     // bits of a neuron's state
    parameter integer VALUE = 2,      // bits of what a neuron hands out
    parameter [STATE-1:0] INITIAL = '0,
    parameter WEIGHTS = "",           // image: a word per row and group, the first lane lowest
    parameter BIASES = "",            // image: a word per group
    parameter integer INPUT = INPUTS > 1 ? $clog2(INPUTS) : 1,
    parameter integer INDEX = NEURONS > 1 ? $clog2(NEURONS) : 1
) (
    input  logic                   clock,
    input  logic                   reset,
    input  logic                   cold,  // reset by the wire: who sends weights forgets as well
    output logic                   event_ready,
    input  logic                   event_valid,
    input  logic [            1:0] event_kind,
    input  logic [      INPUT-1:0] event_index,
    output logic                   advance,  // of the neurons
    output logic [  LANES*SUM-1:0] lane_sums,
    output logic [ LANES*BIAS-1:0] lane_biases,
    output logic [LANES*STATE-1:0] lane_states,
    input  logic [LANES*STATE-1:0] lane_next_states,
    input  logic [LANES*VALUE-1:0] lane_values,
    input  logic [      LANES-1:0] lane_fires,
    input  logic [      LANES-1:0] lane_saturates,
    output logic                   row_valid,
    input  logic                   row_ready,
    output logic [           31:0] row_data,
    input  logic                   word_valid,
    output logic                   word_ready,
    input  logic [LANES*WEIGHT-1:0] word_data,
    input  logic                   out_ready,
    output logic                   out_valid,
    output logic [            1:0] out_kind,
    output logic [      INDEX-1:0] out_index,
    output logic [      VALUE-1:0] out_value,
    output logic [           31:0] busy,       // clocks of work since reset
    output logic [           31:0] saturated   // states cut to their range since reset
);
  localparam integer GROUPS = (NEURONS + LANES - 1) / LANES;
  localparam integer GROUP = GROUPS > 1 ? $clog2(GROUPS) : 1;
  localparam integer ROWS = INPUTS + RECURRENT * NEURONS;
  localparam integer WORDS = ROWS * GROUPS;
  localparam integer WORD = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam integer LANE = LANES > 1 ? $clog2(LANES) : 1;
  localparam integer COUNT = $clog2(LANES + 1);
  localparam [2:0] FILL = 0, LISTEN = 1, ADD = 2, SETTLE = 3, LOAD = 4, DRAIN = 5, TELL = 6;

  logic [2:0] state;
  logic [GROUP-1:0] group;
  logic [1:0] marker;  // the STEP or FRESH at work
  logic telling;  // spikes of the group behind the neurons
  logic last_group, hears, own_valid, take_own, take, spike, filling;
  logic free, arrives;  // of weights over a stream: none of a forgotten row comes; a word came

  assign last_group = group == GROUP'(GROUPS - 1);
  assign hears = ((state == LISTEN) & free) | ((state == ADD) & last_group & arrives);
  assign take_own = hears & own_valid;
  assign event_ready = hears & ~own_valid;
  assign take = event_ready & event_valid;
  assign spike = take_own | (take & (event_kind == event_pkg::SPIKE));
  assign filling = state == FILL;

  // The layer's own spikes wait for the next step. All neurons may spike, and the queue is empty
  // before the next of them does, so it cannot overflow.
  logic [INDEX-1:0] own_index;
  if (RECURRENT != 0) begin : feedback
    /* verilator lint_off UNUSEDSIGNAL */
    logic room;
    /* verilator lint_on UNUSEDSIGNAL */
    stream_fifo #(
        .WIDTH(INDEX),
        .DEPTH(1 << INDEX)
    ) own_spikes (
        .clock,
        .reset,
        .push(telling & out_ready),
        .push_data(out_index),
        .room,
        .ready(take_own),
        .valid(own_valid),
        .data(own_index)
    );
  end else begin : no_feedback
    assign own_valid = 1'b0;
    assign own_index = '0;
  end

  // Weights of the next event: the row is known when the event is taken.
  logic [WORD-1:0] row;
  logic [LANES*WEIGHT-1:0] weights;

  assign row = own_valid ? WORD'(INPUTS) + WORD'(own_index) : WORD'(event_index);

  if (STREAMED != 0) begin : outside
    row_stream #(
        .WIDTH(LANES * WEIGHT),
        .WORDS(GROUPS)
    ) rows (
        .clock,
        .reset(cold),
        .anew(reset),
        .ask(spike),
        .row(32'(row)),
        .free,
        .take(state == ADD),
        .arrives,
        .weights,
        .row_valid,
        .row_ready,
        .row_data,
        .word_valid,
        .word_ready,
        .word_data
    );
  end else begin : on_chip
    logic [WORD-1:0] first_word, weight_index;
    assign weight_index = first_word + WORD'(group);
    always_ff @(posedge clock) if (spike) first_word <= row * WORD'(GROUPS);

    image_memory #(
        .WIDTH(LANES * WEIGHT),
        .DEPTH(WORDS),
        .IMAGE(WEIGHTS)
    ) weight_memory (
        .clock,
        .read (1'b1),
        .index(weight_index),
        .data (weights)
    );
    assign free = 1'b1;
    assign arrives = 1'b1;
    assign row_valid = 1'b0;
    assign row_data = '0;
    assign word_ready = 1'b0;
    logic unused;
    assign unused = &{1'b0, cold, row_ready, word_valid, word_data};
  end

  // One group's sums are read, added to and written in the clock after its weights were asked for.
  logic adding, loading;
  logic [GROUP-1:0] adding_group, sums_group;
  logic [LANES*SUM-1:0] sums, added;

  always_ff @(posedge clock) begin
    adding <= (state == ADD) & arrives & ~reset;
    adding_group <= group;
  end
  assign loading = (state == LOAD) & advance;
  assign sums_group = adding ? adding_group : group;
  for (genvar lane = 0; lane < LANES; lane++) begin : adder
    assign added[lane*SUM+:SUM] =
        sums[lane*SUM+:SUM] + SUM'($signed(weights[lane*WEIGHT+:WEIGHT]));
  end

  lane_memory #(
      .WIDTH(LANES * SUM),
      .DEPTH(GROUPS)
  ) sum_memory (
      .clock,
      .write(adding | loading | filling),
      .write_index(sums_group),
      .write_data(adding ? added : '0),
      .read_index(sums_group),
      .read_data(sums)
  );

  // Which places of the pipeline hold a group: the first rank, those of the neurons, and behind
  // them; and which of these is the last group, which may have lanes without a neuron.
  localparam integer LAST = NEURONS - (GROUPS - 1) * LANES;
  logic [DEPTH+1:0] held, final_group;
  logic leaves;
  logic [LANES-1:0] used;

  assign advance = ~telling;
  assign leaves  = held[DEPTH+1] & advance;
  assign used = final_group[DEPTH] ? {LANES{1'b1}} >> (LANES - LAST) : '1;

  always_ff @(posedge clock) begin
    if (advance) begin
      held <= {held[DEPTH:0], state == LOAD};
      final_group <= {final_group[DEPTH:0], last_group};
    end
    if (reset) held <= '0;
  end

  // States of a group, and its biases, one clock before the neurons need them. Another group than
  // is read may leave in that clock.
  logic [LANES*STATE-1:0] states, next_states;
  logic [GROUP-1:0] left;  // groups of this step

  lane_memory #(
      .WIDTH(LANES * STATE),
      .DEPTH(GROUPS)
  ) state_memory (
      .clock,
      .write(leaves | filling),
      .write_index(filling ? group : left),
      .write_data(filling ? {LANES{INITIAL}} : next_states),
      .read_index(group),
      .read_data(states)
  );

  image_memory #(
      .WIDTH(LANES * BIAS),
      .DEPTH(GROUPS),
      .IMAGE(BIASES)
  ) bias_memory (
      .clock,
      .read (loading),
      .index(group),
      .data (lane_biases)
  );

  always_ff @(posedge clock) begin
    if (loading) begin
      lane_sums   <= sums;
      lane_states <= states;
    end
  end

  // What the neurons answered.
  logic [LANES-1:0] waiting, rest, cuts;
  logic [LANES*VALUE-1:0] values;
  logic [LANE-1:0] lane;
  logic [INDEX-1:0] first_index;  // of the group behind the neurons

  assign telling = waiting != 0;

  always_ff @(posedge clock) begin
    if (advance) begin
      next_states <= lane_next_states;
      values <= lane_values;
      cuts <= used & lane_saturates & {LANES{held[DEPTH]}};
      waiting <= used & (READOUT != 0 ? '1 : lane_fires) & {LANES{held[DEPTH]}};
    end else if (out_ready) waiting <= rest;
    if (leaves) begin
      left <= left + GROUP'(1);
      first_index <= first_index + INDEX'(LANES);
    end
    if (state == SETTLE) begin
      left <= '0;
      first_index <= '0;
    end
    if (reset) waiting <= '0;
  end

  always_comb begin
    lane = '0;
    for (int each = LANES - 1; each >= 0; each--) if (waiting[each]) lane = LANE'(each);
  end
  assign rest = waiting & (waiting - LANES'(1));  // without the lowest

  // Cuts are counted a clock after their group has left: within that of TELL at the latest.
  logic [COUNT-1:0] cut, counted;
  always_comb begin
    cut = '0;
    for (int each = 0; each < LANES; each++) cut = cut + COUNT'(cuts[each]);
  end

  assign out_valid = telling | (state == TELL);
  assign out_kind  = telling ? event_pkg::SPIKE : marker;
  assign out_index = first_index + INDEX'(lane);
  assign out_value = values[lane*VALUE+:VALUE];

  always_ff @(posedge clock) begin
    if (hears) begin
      group  <= '0;
      marker <= event_kind;
      state  <= spike ? ADD : take ? SETTLE : LISTEN;
    end else
      case (state)
        FILL: begin
          group <= group + GROUP'(1);
          if (last_group) state <= marker == event_pkg::FRESH ? TELL : LISTEN;
        end
        ADD: if (arrives) group <= group + GROUP'(1);
        SETTLE: begin
          group <= '0;
          state <= marker == event_pkg::FRESH ? FILL : LOAD;
        end
        LOAD:
        if (advance) begin
          group <= group + GROUP'(1);
          if (last_group) state <= DRAIN;
        end
        DRAIN: if (leaves & final_group[DEPTH+1]) state <= TELL;
        default: if (out_ready) state <= LISTEN;  // TELL
      endcase
    if (reset) begin
      state  <= FILL;
      group  <= '0;
      marker <= event_pkg::STEP;  // nobody is told of a FILL after reset
    end
  end

  logic idle;
  assign idle = (state == LISTEN) | (out_valid & ~out_ready) | ((state == ADD) & ~arrives) |
      (filling & (marker != event_pkg::FRESH));
  always_ff @(posedge clock) begin
    if (reset) begin
      busy <= '0;
      counted <= '0;
      saturated <= '0;
    end else begin
      busy <= busy + {31'd0, ~idle};
      counted <= leaves ? cut : '0;
      saturated <= saturated + 32'(counted);
    end
  end
endmodule
