// One step of a neuron of layer '5_cubali', made by spikewright from its traced step.
// Numbers are two's complement with 5 binary places, those of sums of weights 4.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
// The answer comes 1 clocks after its operands, clocks without `advance` not counted;
// x__2 is the x of two such clocks ago.
module neuron_2 (
    input  logic clock,
    input  logic advance,
    input  logic signed [7:0] total,
    input  logic signed [3:0] bias,
    input  logic [21:0] state,
    output logic [21:0] next_state,
    output logic signed [10:0] value,
    output logic fires,
    output logic saturates
);
  logic signed [10:0] state_v;
  assign state_v = state[10:0];
  logic signed [10:0] state_i;
  assign state_i = state[21:11];

  /* verilator lint_off UNUSEDSIGNAL */  // of what is only used where it is small, not all bits are
  logic signed [12:0] n6__1;
  logic signed [10:0] n5__1;
  logic signed [12:0] n10__1;
  // x = sum of weights and bias
  logic signed [8:0] n0;
  assign n0 = 9'(total) <<< 1;
  logic signed [8:0] n1;
  assign n1 = n0 + 9'(bias);
  // t0 = add i x
  logic signed [11:0] n2;
  assign n2 = 12'(state_i) + 12'(n1);
  // t2 = mul decay_mem t1
  logic signed [13:0] n3;
  assign n3 = (14'(state_v) <<< 3) - 14'(state_v);
  logic signed [13:0] n4;
  assign n4 = n3 + 14'sd4;
  logic signed [10:0] n5;
  assign n5 = 11'(n4 >>> 3);
  // t4 = mul gain t0
  logic signed [12:0] n6;
  assign n6 = (13'(n2) <<< 2) - 13'(n2);
  logic signed [12:0] n7;
  assign n7 = n6__1 + 13'sd16;
  logic signed [7:0] n8;
  assign n8 = 8'(n7 >>> 5);
  // t5 = add t3 t4
  logic signed [10:0] n9;
  assign n9 = n5__1 + 11'(n8);
  // t6 = mul decay_syn t0
  logic signed [12:0] n10;
  assign n10 = (13'(n2) <<< 2) - 13'(n2);
  logic signed [12:0] n11;
  assign n11 = n10__1 + 13'sd2;
  logic signed [10:0] n12;
  assign n12 = 11'(n11 >>> 2);
  always_ff @(posedge clock)
    if (advance) begin
      n6__1 <= n6;
      n5__1 <= n5;
      n10__1 <= n10;
    end
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {n12, n9};
  assign value = n9;
  assign fires = 1'b0;
  assign saturates = 1'b0;
endmodule
