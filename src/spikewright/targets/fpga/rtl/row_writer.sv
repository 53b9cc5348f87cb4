// Collects the spikes of a row of activations, one column a clock for each unit, and writes them to
// the activation memory plane by plane, the first step first: one word a clock from the one after
// `flush`.
module row_writer #(
    parameter integer VALUE = 16,
    parameter integer ADDRESS = 11,
    parameter integer WORD = 32,
    parameter integer COLUMN = $clog2(WORD),
    parameter integer UNITS = 2,
    parameter integer PLANES = 4           // most steps of an activation
) (
    input  logic                        clock,
    input  logic                        reset,
    input  logic                        begin_map,    // the next row goes to `target`
    input  logic [           VALUE-1:0] target,
    input  logic [           VALUE-1:0] target_step,  // from a unit's channel to the next one's
    input  logic [           VALUE-1:0] units,
    input  logic [           VALUE-1:0] steps,        // of each activation
    input  logic                        put,
    input  logic [    UNITS*PLANES-1:0] spikes,       // of each unit, the last step lowest
    input  logic                        flush,
    output logic                        last,         // the last word of a row is being written
    output logic                        write,
    output logic [         ADDRESS-1:0] write_address,
    output logic [            WORD-1:0] write_data
);
  localparam integer ALL = UNITS * PLANES;
  localparam integer PLANE = ALL > 1 ? $clog2(ALL) : 1;

  logic [WORD-1:0] planes[0:ALL-1];
  logic [COLUMN-1:0] column;
  logic [VALUE-1:0] row_address, unit_address, address, unit, steps_left;
  logic [PLANE-1:0] plane, unit_plane;
  logic last_step, last_unit;

  assign last_step = steps_left == VALUE'(1);
  assign last_unit = unit + VALUE'(1) == units;
  assign last = write & last_step & last_unit;
  assign write_address = address[ADDRESS-1:0];
  assign write_data = planes[plane];

  for (genvar p = 0; p < ALL; p++) begin : each
    always_ff @(posedge clock)
      if (reset | last) planes[p] <= '0;
      else if (put) planes[p][column] <= spikes[p];
  end

  always_ff @(posedge clock) begin
    if (reset | last) column <= '0;
    else if (put) column <= column + COLUMN'(1);

    if (reset | last) write <= 1'b0;
    else if (flush) write <= 1'b1;

    if (begin_map) row_address <= target;
    else if (last) row_address <= row_address + steps;

    if (flush) begin
      address <= row_address;
      unit_address <= row_address;
      unit <= '0;
      steps_left <= steps;
      plane <= steps[PLANE-1:0] - PLANE'(1);
      unit_plane <= steps[PLANE-1:0] - PLANE'(1);
    end else if (write & ~last_step) begin
      address <= address + VALUE'(1);
      steps_left <= steps_left - VALUE'(1);
      plane <= plane - PLANE'(1);
    end else if (write) begin
      address <= unit_address + target_step;
      unit_address <= unit_address + target_step;
      unit <= unit + VALUE'(1);
      steps_left <= steps;
      plane <= unit_plane + PLANE'(PLANES);
      unit_plane <= unit_plane + PLANE'(PLANES);
    end
  end
endmodule
