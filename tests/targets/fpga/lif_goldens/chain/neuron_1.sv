// One step of a neuron of layer '3_recurrent', made by spikewright from its traced step.
// Numbers are two's complement with 4 binary places, those of sums of weights 4.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
// The answer comes 2 clocks after its operands, clocks without `advance` not counted;
// x__2 is the x of two such clocks ago.
module neuron_1 (
    input  logic clock,
    input  logic advance,
    input  logic signed [8:0] total,
    input  logic signed [2:0] bias,
    input  logic [13:0] state,
    output logic [13:0] next_state,
    output logic signed [1:0] value,
    output logic fires,
    output logic saturates
);
  logic signed [10:0] state_v;
  assign state_v = state[10:0];
  logic signed [2:0] state_remaining;
  assign state_remaining = state[13:11];

  /* verilator lint_off UNUSEDSIGNAL */  // of what is only used where it is small, not all bits are
  logic signed [10:0] state_v__1;
  logic signed [11:0] n2__1;
  logic n1__1;
  logic n5__1;
  logic n5__2;
  logic signed [2:0] n10__1;
  logic signed [11:0] n8__1;
  logic signed [11:0] n12__1;
  logic signed [2:0] n11__1;
  // x = sum of weights and bias
  logic signed [8:0] n0;
  assign n0 = total + 9'(bias);
  // t0 = le remaining 0
  logic n1;
  assign n1 = state_remaining <= 3'sd0;
  // t2 = add v x
  logic signed [11:0] n2;
  assign n2 = 12'(state_v) + 12'(n0);
  // t4 = gt t3 0
  logic n4;
  assign n4 = n2 > 12'sd11;
  // t6 = where t0 t5 0.0
  logic n5;
  assign n5 = n1 & n4;
  // t8 = where t7 v_reset t2
  logic signed [11:0] n7;
  assign n7 = n5__1 ? 12'sd0 : n2__1;
  // t9 = where t0 t8 v
  logic signed [11:0] n8;
  assign n8 = n1__1 ? n7 : 12'(state_v__1);
  // t10 = sub remaining 1
  logic signed [3:0] n9;
  assign n9 = 4'(state_remaining) - 4'sd1;
  // t11 = clamp t10 0 none
  logic signed [2:0] n10;
  assign n10 = 3'((n9 > 4'sd0) ? n9 : 4'sd0);
  // t13 = where t12 refractory_steps t11
  logic signed [2:0] n11;
  assign n11 = n5__1 ? 3'sd2 : n10__1;
  // v is held in 11 bits
  logic signed [11:0] n12;
  assign n12 = (n8 > -12'sd1024) ? n8 : -12'sd1024;
  logic signed [10:0] n13;
  assign n13 = 11'((n12__1 < 12'sd1023) ? n12__1 : 12'sd1023);
  logic n14;
  assign n14 = n8__1 != 12'(n13);
  always_ff @(posedge clock)
    if (advance) begin
      state_v__1 <= state_v;
      n2__1 <= n2;
      n1__1 <= n1;
      n5__1 <= n5;
      n5__2 <= n5__1;
      n10__1 <= n10;
      n8__1 <= n8;
      n12__1 <= n12;
      n11__1 <= n11;
    end
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {n11__1, n13};
  assign value = {1'b0, n5__2};
  assign fires = n5__2;
  assign saturates = n14;
endmodule
