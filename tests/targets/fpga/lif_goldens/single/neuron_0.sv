// One step of a neuron of layer '1_lif', made by spikewright from its traced step.
// Numbers are two's complement with 11 binary places, those of sums of weights 7.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
// The answer comes 2 clocks after its operands, clocks without `advance` not counted;
// x__2 is the x of two such clocks ago.
module neuron_0 (
    input  logic clock,
    input  logic advance,
    input  logic signed [8:0] total,
    input  logic signed [8:0] bias,
    input  logic [15:0] state,
    output logic [15:0] next_state,
    output logic signed [1:0] value,
    output logic fires,
    output logic saturates
);
  logic signed [15:0] state_v;
  assign state_v = state[15:0];

  /* verilator lint_off UNUSEDSIGNAL */  // of what is only used where it is small, not all bits are
  logic signed [27:0] n2__1;
  logic signed [12:0] n1__1;
  logic signed [15:0] n5__1;
  logic n7__1;
  // x = sum of weights and bias
  logic signed [12:0] n0;
  assign n0 = 13'(total) <<< 4;
  logic signed [12:0] n1;
  assign n1 = n0 + 13'(bias);
  // t1 = mul decay t0
  logic signed [27:0] n2;
  assign n2 = 28'(state_v) * 28'sd3615;
  logic signed [27:0] n3;
  assign n3 = n2__1 + 28'sd2048;
  logic signed [15:0] n4;
  assign n4 = 16'(n3 >>> 12);
  // t4 = add t2 x
  logic signed [15:0] n5;
  assign n5 = n4 + 16'(n1__1);
  // t6 = gt t5 0
  logic n7;
  assign n7 = n5 > 16'sd2048;
  // t9 = where t8 v_reset t4
  logic signed [15:0] n8;
  assign n8 = n7__1 ? 16'sd0 : n5__1;
  always_ff @(posedge clock)
    if (advance) begin
      n2__1 <= n2;
      n1__1 <= n1;
      n5__1 <= n5;
      n7__1 <= n7;
    end
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {n8};
  assign value = {1'b0, n7__1};
  assign fires = n7__1;
  assign saturates = 1'b0;
endmodule
