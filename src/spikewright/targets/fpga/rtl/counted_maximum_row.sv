// Max pooling of a rate code: the train of the largest number holds all others of the window, so
// a step of the maximum spikes if any position does. Spikes are counted as they come.
module counted_maximum_row #(
    parameter integer LANES = 14,
    parameter integer ACTIVATION = 4
) (
    input  logic                        clock,
    input  logic                        enable,
    input  logic                        clear,       // first position of the first step
    input  logic                        step_first,  // first position of a step
    input  logic                        step_last,
    input  logic [           LANES-1:0] spikes,
    output logic [LANES*ACTIVATION-1:0] values
);
  for (genvar lane = 0; lane < LANES; lane++) begin : each
    logic [ACTIVATION-1:0] value, base;
    logic found, any, more;

    assign base = clear ? '0 : value;
    assign any  = (found & ~step_first) | spikes[lane];
    assign more = step_last & any;

    always_ff @(posedge clock)
      if (enable) begin
        found <= any;
        value <= base + ACTIVATION'(more);
      end
    assign values[lane*ACTIVATION+:ACTIVATION] = value;
  end
endmodule
