// Layer '3_recurrent', made by spikewright: a queue of events, the layer, and 3 neurons at work.
module layer_1 (
    input  logic clock,
    input  logic reset,
    output logic event_ready,
    input  logic event_valid,
    input  logic [5:0] event_data,  // {kind, index}
    input  logic out_ready,
    output logic out_valid,
    output logic [1:0] out_kind,
    output logic [2:0] out_index,
    output logic signed [1:0] out_value,
    output logic [31:0] busy,
    output logic [31:0] saturated
);
  /* verilator lint_off UNUSEDSIGNAL */  // of weights over a stream
  logic row_valid, word_ready;
  logic [31:0] row_data;
  /* verilator lint_on UNUSEDSIGNAL */

  localparam integer LANES = 3, SUM = 9, BIAS = 3, STATE = 14, VALUE = 2;

  logic queue_valid, queue_ready;
  logic [5:0] queued;
  logic [LANES*SUM-1:0] sums;
  logic [LANES*BIAS-1:0] biases;
  logic [LANES*STATE-1:0] states, next_states;
  logic [LANES*VALUE-1:0] values;
  logic [LANES-1:0] fires, saturates;
  logic advance;

  stream_fifo #(
      .WIDTH(6),
      .DEPTH(16)
  ) queue (
      .clock,
      .reset,
      .push(event_valid & event_ready),
      .push_data(event_data),
      .room(event_ready),
      .ready(queue_ready),
      .valid(queue_valid),
      .data(queued)
  );

  spiking_layer #(
      .INPUTS(11),
      .NEURONS(7),
      .LANES(LANES),
      .RECURRENT(1),
      .READOUT(0),
      .STREAMED(0),
      .DEPTH(2),
      .WEIGHT(6),
      .SUM(SUM),
      .BIAS(BIAS),
      .STATE(STATE),
      .VALUE(VALUE),
      .INITIAL(14'h0),
      .WEIGHTS("weights_1.mem"),
      .BIASES("biases_1.mem")
  ) control (
      .clock,
      .reset,
      .cold(1'b0),
      .event_ready(queue_ready),
      .event_valid(queue_valid),
      .event_kind(queued[5:4]),
      .event_index(queued[3:0]),
      .advance,
      .lane_sums(sums),
      .lane_biases(biases),
      .lane_states(states),
      .lane_next_states(next_states),
      .lane_values(values),
      .lane_fires(fires),
      .lane_saturates(saturates),
      .row_valid,
      .row_ready(1'b0),
      .row_data,
      .word_valid(1'b0),
      .word_ready,
      .word_data(18'd0),
      .out_ready,
      .out_valid,
      .out_kind,
      .out_index,
      .out_value,
      .busy,
      .saturated
  );

  for (genvar lane = 0; lane < LANES; lane++) begin : neurons
    neuron_1 neuron (
        .clock,
        .advance,
        .total(sums[lane*SUM+:SUM]),
        .bias(biases[lane*BIAS+:BIAS]),
        .state(states[lane*STATE+:STATE]),
        .next_state(next_states[lane*STATE+:STATE]),
        .value(values[lane*VALUE+:VALUE]),
        .fires(fires[lane]),
        .saturates(saturates[lane])
    );
  end
endmodule
