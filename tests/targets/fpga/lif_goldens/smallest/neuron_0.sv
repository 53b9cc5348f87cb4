// One step of a neuron of layer '1_recurrent', made by spikewright from its traced step.
// Numbers are two's complement with 5 binary places, those of sums of weights 0.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
// The answer comes 2 clocks after its operands, clocks without `advance` not counted;
// x__2 is the x of two such clocks ago.
module neuron_0 (
    input  logic clock,
    input  logic advance,
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
  logic n4__1;
  logic n4__2;
  logic signed [6:0] n5__1;
  logic signed [6:0] n5__2;
  logic signed [5:0] n7__1;
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
  assign n6 = 6'((n5__1 > -7'sd32) ? n5__1 : -7'sd32);
  logic signed [5:0] n7;
  assign n7 = (n6 < 6'sd31) ? n6 : 6'sd31;
  logic n8;
  assign n8 = n5__2 != 7'(n7__1);
  always_ff @(posedge clock)
    if (advance) begin
      n4__1 <= n4;
      n4__2 <= n4__1;
      n5__1 <= n5;
      n5__2 <= n5__1;
      n7__1 <= n7;
    end
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {n7__1};
  assign value = {1'b0, n4__2};
  assign fires = n4__2;
  assign saturates = n8;
endmodule
