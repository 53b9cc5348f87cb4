// Max pooling of spike trains whose first bit weighs most. In each step, if any position of the
// window that may still hold the maximum spikes, so does the maximum, and positions without a
// spike are out. One position a clock, all output columns at once.
module maximum_row #(
    parameter integer LANES = 14,
    parameter integer WINDOW = 4,      // positions of the largest window
    parameter integer POSITION = 2,
    parameter integer ACTIVATION = 4
) (
    input  logic                        clock,
    input  logic                        enable,
    input  logic                        clear,       // first position of the first step
    input  logic                        step_first,  // first position of a step
    input  logic                        step_last,
    input  logic [        POSITION-1:0] position,
    input  logic [           LANES-1:0] spikes,
    output logic [LANES*ACTIVATION-1:0] values
);
  for (genvar lane = 0; lane < LANES; lane++) begin : each
    logic [WINDOW-1:0] alive, may, seen, spiked;
    logic [ACTIVATION-1:0] value, base;
    logic found, any;

    assign may = clear ? '1 : alive;
    assign base = clear ? '0 : value;
    assign any = (found & ~step_first) | (may[position] & spikes[lane]);
    assign spiked = (seen & ~(WINDOW'(1) << position)) | (WINDOW'(spikes[lane]) << position);

    always_ff @(posedge clock)
      if (enable) begin
        seen  <= spiked;
        found <= any;
        alive <= (step_last & any) ? may & spiked : may;
        value <= step_last ? {base[ACTIVATION-2:0], any} : base;
      end
    assign values[lane*ACTIVATION+:ACTIVATION] = value;
  end
endmodule
