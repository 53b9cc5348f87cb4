// One step of a neuron of layer '1_recurrent', made by spikewright from its traced step.
// Numbers are two's complement with 6 binary places, those of sums of weights 5.
// Nothing in between can overflow: each is as wide as its range, whatever the input.
// The answer comes 3 clocks after its operands, clocks without `advance` not counted;
// x__2 is the x of two such clocks ago.
module neuron_0 (
    input  logic clock,
    input  logic advance,
    input  logic signed [9:0] total,
    input  logic signed [3:0] bias,
    input  logic [10:0] state,
    output logic [10:0] next_state,
    output logic signed [1:0] value,
    output logic fires,
    output logic saturates
);
  logic signed [10:0] state_v;
  assign state_v = state[10:0];

  /* verilator lint_off UNUSEDSIGNAL */  // of what is only used where it is small, not all bits are
  logic signed [10:0] n5__1;
  logic signed [10:0] n1__1;
  logic signed [11:0] n7__1;
  logic n9__1;
  logic n9__2;
  logic signed [11:0] n11__1;
  logic signed [11:0] n12__1;
  // x = sum of weights and bias
  logic signed [10:0] n0;
  assign n0 = 11'(total) <<< 1;
  logic signed [10:0] n1;
  assign n1 = n0 + 11'(bias);
  // t0 = sub v v_leak
  logic signed [11:0] n2;
  assign n2 = 12'(state_v) - 12'sd6;
  // t1 = mul decay t0
  logic signed [13:0] n3;
  assign n3 = (14'(n2) <<< 3) - 14'(n2);
  logic signed [13:0] n4;
  assign n4 = n3 + 14'sd4;
  logic signed [10:0] n5;
  assign n5 = 11'(n4 >>> 3);
  // t2 = add v_leak t1
  logic signed [10:0] n6;
  assign n6 = n5__1 + 11'sd6;
  // t4 = add t2 x
  logic signed [11:0] n7;
  assign n7 = 12'(n6) + 12'(n1__1);
  // t6 = gt t5 0
  logic n9;
  assign n9 = n7 > 12'sd64;
  // t8 = mul t7 v_threshold
  logic signed [7:0] n10;
  assign n10 = n9__1 ? 8'sd64 : 8'sd0;
  // t9 = sub t4 t8
  logic signed [11:0] n11;
  assign n11 = n7__1 - 12'(n10);
  // v is held in 11 bits
  logic signed [11:0] n12;
  assign n12 = (n11 > -12'sd1024) ? n11 : -12'sd1024;
  logic signed [10:0] n13;
  assign n13 = 11'((n12__1 < 12'sd1023) ? n12__1 : 12'sd1023);
  logic n14;
  assign n14 = n11__1 != 12'(n13);
  always_ff @(posedge clock)
    if (advance) begin
      n5__1 <= n5;
      n1__1 <= n1;
      n7__1 <= n7;
      n9__1 <= n9;
      n9__2 <= n9__1;
      n11__1 <= n11;
      n12__1 <= n12;
    end
  /* verilator lint_on UNUSEDSIGNAL */

  assign next_state = {n13};
  assign value = {1'b0, n9__2};
  assign fires = n9__2;
  assign saturates = n14;
endmodule
