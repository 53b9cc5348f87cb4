// Layer '1_recurrent', made by spikewright: a queue of events, the layer, and 4 neurons at work.
module layer_0 (
    input  logic clock,
    input  logic reset,
    output logic event_ready,
    input  logic event_valid,
    input  logic [5:0] event_data,  // {kind, index}
    input  logic out_ready,
    output logic out_valid,
    output logic [1:0] out_kind,
    output logic [3:0] out_index,
    output logic signed [1:0] out_value,
    output logic [31:0] busy,
    output logic [31:0] saturated
);
  /* verilator lint_off UNUSEDSIGNAL */  // of weights over a stream
  logic row_valid, word_ready;
  logic [31:0] row_data;
  /* verilator lint_on UNUSEDSIGNAL */

  localparam integer LANES = 4, SUM = 10, BIAS = 4, STATE = 11, VALUE = 2;

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
      .INPUTS(9),
      .NEURONS(11),
      .LANES(LANES),
      .RECURRENT(1),
      .READOUT(0),
      .STREAMED(0),
      .DEPTH(3),
      .WEIGHT(6),
      .SUM(SUM),
      .BIAS(BIAS),
      .STATE(STATE),
      .VALUE(VALUE),
      .INITIAL(11'h6),
      .WEIGHTS("weights_0.mem"),
      .BIASES("biases_0.mem")
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
      .word_data(24'd0),
      .out_ready,
      .out_valid,
      .out_kind,
      .out_index,
      .out_value,
      .busy,
      .saturated
  );

  for (genvar lane = 0; lane < LANES; lane++) begin : neurons
    neuron_0 neuron (
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
