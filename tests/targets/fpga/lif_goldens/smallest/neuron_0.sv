// One step of a neuron of layer '1_recurrent', made by spikewright from its traced step.
// Numbers are two's complement with 5 binary places, those of sums of weights 0.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
module neuron_0 (
    input  logic signed [1:0] total,
    input  logic signed [1:0] bias,
    input  logic [5:0] state,
    output logic [5:0] next_state,
    output logic signed [1:0] value,
    output logic fires,
    output logic saturates
);
  logic signed [5:0] state_v;
  assign state_v = state[5:0];

  /* verilator lint_off UNUSEDSIGNAL */  // of what is only used where it is small, not all bits are
  // x = sum of weights and bias
  logic signed [6:0] n0;
  assign n0 = 7'(total) <<< 5;
  logic signed [5:0] n1;
  assign n1 = 6'(n0) + 6'(bias);
  // t1 = add v x
  logic signed [6:0] n2;
  assign n2 = 7'(state_v) + 7'(n1);
  // t3 = gt t2 0
  logic n4;
  assign n4 = n2 > 7'sd10;
  // t6 = where t5 v_reset t1
  logic signed [6:0] n5;
  assign n5 = n4 ? 7'sd0 : n2;
  // v is held in 6 bits
  logic signed [5:0] n6;
  assign n6 = 6'((n5 > -7'sd32) ? n5 : -7'sd32);
  logic signed [5:0] n7;
  assign n7 = (n6 < 6'sd31) ? n6 : 6'sd31;
  logic n8;
  assign n8 = n5 != 7'(n7);
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {n7};
  assign value = {1'b0, n4};
  assign fires = n4;
  assign saturates = n8;
endmodule
