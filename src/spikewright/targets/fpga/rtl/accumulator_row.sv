// One unit of the shift-and-add convolution: a row of accumulators, one for each output column.
// All add the same operand, each only if there is a spike for it; with a new step of the spike
// train all double first: m <- 2 m + sum of the operands with a spike (a rate code never doubles).
module accumulator_row #(
    parameter integer LANES = 28,
    parameter integer SUM = 16
) (
    input  logic                 clock,
    input  logic                 enable,
    input  logic                 clear,    // start from 0
    input  logic                 twice,    // a new step begins
    input  logic [    LANES-1:0] spikes,
    input  logic [      SUM-1:0] operand,
    output logic [LANES*SUM-1:0] sums
);
  for (genvar lane = 0; lane < LANES; lane++) begin : each
    logic [SUM-1:0] sum, base;
    assign base = clear ? '0 : twice ? {sum[SUM-2:0], 1'b0} : sum;
    always_ff @(posedge clock) if (enable) sum <= base + (spikes[lane] ? operand : '0);
    assign sums[lane*SUM+:SUM] = sum;
  end
endmodule
