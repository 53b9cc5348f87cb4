// From a sum to an activation: floor(sum / 2^k + 1/2), held within 0 .. 2^bits - 1.
// The range is looked at after rounding, or the largest value plus its half would wrap to 0.
// `shift` is k + LEFT, never negative; LEFT is as far as any layer shifts to the left (k < 0).
// Two clocks from `sum` to `activation`.
module requantiser #(
    parameter integer SUM = 16,
    parameter integer ACTIVATION = 4,
    parameter integer LEFT = 0,
    parameter integer SHIFT = 5,  // bits of `shift`
    parameter integer BITS = 3    // bits of `bits`
) (
    input  logic                         clock,
    input  logic signed [       SUM-1:0] sum,
    input  logic        [     SHIFT-1:0] shift,
    input  logic        [      BITS-1:0] bits,
    output logic        [ACTIVATION-1:0] activation,
    output logic                         saturated
);
  localparam integer WIDE = SUM + LEFT + 1;  // the last bit is worth a half

  logic signed [WIDE-1:0] extended, halves;
  logic signed [WIDE-1:0] rounded;
  logic [ACTIVATION-1:0] most;
  logic above;

  assign extended = $signed({sum, {(LEFT + 1) {1'b0}}});
  always_ff @(posedge clock) halves <= extended >>> shift;

  assign rounded = (halves >>> 1) + $signed({{(WIDE - 1) {1'b0}}, halves[0]});
  assign most = ~({ACTIVATION{1'b1}} << bits);
  assign above = ~rounded[WIDE-1] & (rounded > $signed({{(WIDE - ACTIVATION) {1'b0}}, most}));

  always_ff @(posedge clock) begin
    saturated  <= above;
    activation <= rounded[WIDE-1] ? '0 : above ? most : rounded[ACTIVATION-1:0];
  end
endmodule
