// Reads what one tile of an output row needs and turns it into spikes, one kernel position a clock:
// for each step, channel and kernel row it reads one row of one bit plane, and for each kernel
// column it shifts that row by one, so that each output column finds its spike at a fixed place.
// The spikes and what is said of them come two clocks after `sweep`.
module row_sweeper #(
    parameter integer VALUE = 16,
    parameter integer ADDRESS = 11,
    parameter integer WORD = 32,
    parameter integer LANES = 28,
    parameter integer PAD = 0,     // most padding to the left of any layer
    parameter integer OFFSET = 1,  // bits of `offset`
    parameter integer STRIDE = 1,  // largest stride of any layer
    parameter integer TAP = 8,     // bits that count the taps of a kernel
    parameter integer POSITION = 2
) (
    input  logic                clock,
    input  logic                reset,
    input  logic [   VALUE-1:0] source,
    input  logic [   VALUE-1:0] row_start,
    input  logic [   VALUE-1:0] row_step,
    input  logic [   VALUE-1:0] channel_step,
    input  logic [   VALUE-1:0] rows_in,
    input  logic [   VALUE-1:0] pad_rows,
    input  logic [   VALUE-1:0] stride_rows,
    input  logic [   VALUE-1:0] stride_columns,
    input  logic [   VALUE-1:0] steps,
    input  logic [   VALUE-1:0] channels,
    input  logic [   VALUE-1:0] kernel_rows,
    input  logic [   VALUE-1:0] kernel_columns,
    // Where it is.
    input  logic                begin_map,
    input  logic                next_row,
    input  logic                begin_tile,
    input  logic [  OFFSET-1:0] offset,
    input  logic                sweep,
    output logic                last,           // this is the last clock of `sweep`
    // The memories, whose words come one clock later. Activations are asked for a clock ahead.
    output logic [ ADDRESS-1:0] read_address,
    input  logic [    WORD-1:0] read_data,
    output logic [     TAP-1:0] tap,
    output logic [   VALUE-1:0] channel,        // with `tap`
    // What the accumulators see.
    output logic [   LANES-1:0] spikes,
    output logic                enable,
    output logic                clear,
    output logic                step_first,
    output logic                step_last,
    output logic [POSITION-1:0] position
);
  localparam integer ROW = WORD + PAD;
  localparam integer REACH = LANES * STRIDE > ROW ? LANES * STRIDE : ROW;

  // Kernel position that is being read, and the address of its row.
  logic [VALUE-1:0] step, line, column;
  logic [VALUE-1:0] row_base, step_base, channel_base, address, next;
  logic [VALUE-1:0] top_row, row;  // input rows; negative in the padding
  logic [POSITION-1:0] place;
  logic last_column, last_line, last_channel, last_step;

  assign last_column = column + VALUE'(1) == kernel_columns;
  assign last_line = line + VALUE'(1) == kernel_rows;
  assign last_channel = channel + VALUE'(1) == channels;
  assign last_step = step + VALUE'(1) == steps;
  assign last = last_column & last_line & last_channel & last_step;

  // Rows of a plane are as many words apart as there are steps.
  always_comb begin
    next = address;
    if (begin_tile) next = row_base;
    else if (sweep & last_column) begin
      if (~last_line) next = address + steps;
      else if (~last_channel) next = channel_base + channel_step;
      else next = step_base + VALUE'(1);
    end
  end
  assign read_address = next[ADDRESS-1:0];

  always_ff @(posedge clock) begin
    address <= next;
    if (begin_map) begin
      row_base <= source + row_start;
      top_row  <= -pad_rows;
    end else if (next_row) begin
      row_base <= row_base + row_step;
      top_row  <= top_row + stride_rows;
    end

    if (begin_tile) begin
      {step, channel, line, column} <= '0;
      {step_base, channel_base} <= {2{row_base}};
      row <= top_row;
      tap <= '0;
      place <= '0;
    end else if (sweep) begin
      column <= last_column ? '0 : column + VALUE'(1);
      place  <= (last_column & last_line) ? '0 : place + POSITION'(1);
      tap    <= (last_column & last_line & last_channel) ? '0 : tap + TAP'(1);
      if (last_column) begin
        line <= last_line ? '0 : line + VALUE'(1);
        row  <= last_line ? top_row : row + VALUE'(1);
        if (last_line & ~last_channel) begin
          channel <= channel + VALUE'(1);
          channel_base <= next;
        end else if (last_line) begin
          channel <= '0;
          step <= step + VALUE'(1);
          step_base <= next;
          channel_base <= next;
        end
      end
    end
  end

  // One clock later: the row is there, or shifted on.
  logic loaded, in_map, enable_1, clear_1, first_1, last_1;
  logic [POSITION-1:0] place_1;
  logic [ROW-1:0] shifted, spike_row;
  logic [ROW-1:0] padded;
  logic [WORD-1:0] fetched;  // block RAM is slow, and so is the shift

  assign padded = ROW'(fetched) << PAD;
  assign shifted = padded >> offset;

  always_ff @(posedge clock) begin
    fetched <= read_data;
    loaded <= column == 0;
    in_map <= row < rows_in;  // a negative row counts as a very large one
    first_1 <= (column == 0) & (line == 0) & (channel == 0);
    clear_1 <= (column == 0) & (line == 0) & (channel == 0) & (step == 0);
    last_1 <= last_column & last_line & last_channel;
    place_1 <= place;

    spike_row <= loaded ? (in_map ? shifted : '0) : spike_row >> 1;
    step_first <= first_1;
    step_last <= last_1;
    clear <= clear_1;
    position <= place_1;

    if (reset) {enable, enable_1} <= '0;
    else {enable, enable_1} <= {enable_1, sweep};
  end

  // A lane's column is a stride away from its neighbour's.
  logic [REACH-1:0] reach;
  assign reach = REACH'(spike_row);
  always_comb begin
    spikes = '0;
    for (int stride = 1; stride <= STRIDE; stride++)
      for (int lane = 0; lane < LANES; lane++)
        if (stride_columns == VALUE'(stride)) spikes[lane] = reach[lane*stride];
  end
endmodule
