// Works out feature maps: convolution (UNITS output channels at once), sum pooling and addition of
// maps (operands that are powers of two; first unit, or each its own channel) and max pooling. One run makes the rows of
// one block of channels, one after another, in tiles of LANES columns:
//
//   BIAS -> LOAD -> { { TILE -> SWEEP -> SETTLE -> DRAIN } per tile -> FINISH -> FLUSH } per row
//
// Clocks of a run, with all streams ready (interpreter.py counts by the same formula):
//   [1 + taps] + rows (tiles (3 + steps taps) + columns + 3 + units planes), taps = channels kh kw,
// planes: steps of an output, 0 if sums go out
module map_unit #(
    parameter integer VALUE = 16,
    parameter integer ADDRESS = 11,
    parameter integer WORD = 32,
    parameter integer LANES = 28,
    parameter integer UNITS = 2,
    parameter integer SUM = 16,
    parameter integer WEIGHT = 3,
    parameter integer ACTIVATION = 4,
    parameter integer RATE = 0,     // all spikes count the same, and sums are never doubled
    parameter integer PAD = 0,
    parameter integer OFFSET = 1,
    parameter integer STRIDE = 1,
    parameter integer WINDOW = 0,   // positions of the largest max pooling window; 0: there is none
    parameter integer LIFT = 0,     // as far as weights are shifted
    parameter integer TAPS = 256    // most taps of a kernel over all its channels
) (
    input  logic                                           clock,
    input  logic                                           reset,
    /* verilator lint_off UNUSEDSIGNAL */  // a unit reads its own settings
    input  logic [instruction_pkg::SETTINGS*VALUE-1:0]     settings,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic                                           start,
    output logic                                           done,
    output logic                                           stalled,
    // Kernels: the weights of all units for one tap; biases: of all units for one run.
    output logic                                           kernel_ready,
    input  logic                                           kernel_valid,
    input  logic [UNITS*WEIGHT-1:0]                        kernel,
    output logic                                           bias_ready,
    input  logic                                           bias_valid,
    input  logic [UNITS*SUM-1:0]                           bias,
    output logic [ADDRESS-1:0]                             read_address,
    input  logic [WORD-1:0]                                read_data,
    // The sums of one column, and the wish to write the row that is complete.
    input  logic                                           room,
    output logic                                           sum_valid,
    output logic [UNITS*SUM-1:0]                           sums,
    output logic                                           flush,
    input  logic                                           flushed
);
  localparam integer TAP = $clog2(TAPS);
  localparam integer PLACES = WINDOW > 1 ? WINDOW : 2;
  localparam integer POSITION = $clog2(PLACES);
  localparam integer COLUMN = $clog2(LANES + 1);

  localparam [3:0] IDLE = 0, BIAS = 1, LOAD = 2, TILE = 3, SWEEP = 4;
  localparam [3:0] SETTLE = 5, DRAIN = 6, FINISH = 7, FLUSH = 8;

  `define SETTING(name) settings[instruction_pkg::name*VALUE+:VALUE]

  logic convolve, maximum, own, raw;
  assign convolve = settings[instruction_pkg::MODE*VALUE+:2] == instruction_pkg::MODE_CONVOLVE;
  assign maximum = settings[instruction_pkg::MODE*VALUE+:2] == instruction_pkg::MODE_MAXIMUM;
  assign own = settings[instruction_pkg::MODE*VALUE+:2] == instruction_pkg::MODE_OWN;
  assign raw = `SETTING(BITS) == 0;

  // Sequence of states.
  logic [3:0] state;
  logic [1:0] pause;
  logic [VALUE-1:0] rows_left, columns_left;
  logic [COLUMN-1:0] column;
  logic [TAP-1:0] loaded;
  logic [OFFSET-1:0] offset;
  logic kernels_in, swept, drain, row_done, begin_tile, next_row;

  assign begin_tile = state == TILE;
  assign drain = (state == DRAIN) & (~raw | room);
  assign flush = (state == FINISH) & (pause == 2) & ~raw;
  assign row_done = ((state == FINISH) & (pause == 2) & raw) | ((state == FLUSH) & flushed);
  assign next_row = row_done;
  assign done = row_done & (rows_left == VALUE'(1));
  assign stalled = (bias_ready & ~bias_valid) | (kernel_ready & ~kernel_valid) |
      ((state == DRAIN) & raw & ~room);

  always_ff @(posedge clock) begin
    pause <= '0;
    case (state)
      IDLE: begin
        rows_left <= `SETTING(ROWS_OUT);
        columns_left <= `SETTING(COLUMNS_OUT);
        offset <= settings[instruction_pkg::OFFSET*VALUE+:OFFSET];
        loaded <= '0;
        if (start) state <= convolve ? BIAS : TILE;
      end
      BIAS: if (bias_valid) state <= LOAD;
      LOAD:
      if (kernel_valid) begin
        loaded <= loaded + TAP'(1);
        if (kernels_in) state <= TILE;
      end
      TILE: begin
        column <= '0;
        state  <= SWEEP;
      end
      SWEEP: if (swept) state <= SETTLE;
      SETTLE: begin
        pause <= pause + 2'd1;
        if (pause == 1) begin
          pause <= '0;
          state <= DRAIN;
        end
      end
      DRAIN:
      if (drain) begin
        column <= column + COLUMN'(1);
        columns_left <= columns_left - VALUE'(1);
        if (columns_left == VALUE'(1)) state <= FINISH;
        else if (column == COLUMN'(LANES - 1)) begin
          offset <= offset + settings[instruction_pkg::TILE_STEP*VALUE+:OFFSET];
          state  <= TILE;
        end
      end
      FINISH: begin
        pause <= pause + 2'd1;
        if (flush) state <= FLUSH;
      end
      default: ;
    endcase
    if (row_done) begin
      rows_left <= rows_left - VALUE'(1);
      columns_left <= `SETTING(COLUMNS_OUT);
      offset <= settings[instruction_pkg::OFFSET*VALUE+:OFFSET];
      state <= done ? IDLE : TILE;
    end
    if (reset) state <= IDLE;
  end

  // Spikes.
  logic [TAP-1:0] tap;
  logic [LANES-1:0] spikes;
  logic [POSITION-1:0] position;
  logic [VALUE-1:0] channel;
  logic enable, clear, step_first, step_last;

  row_sweeper #(
      .VALUE(VALUE),
      .ADDRESS(ADDRESS),
      .WORD(WORD),
      .LANES(LANES),
      .PAD(PAD),
      .OFFSET(OFFSET),
      .STRIDE(STRIDE),
      .TAP(TAP),
      .POSITION(POSITION)
  ) sweeper (
      .clock,
      .reset,
      .source(`SETTING(SOURCE)),
      .row_start(`SETTING(ROW_START)),
      .row_step(`SETTING(ROW_STEP)),
      .channel_step(`SETTING(CHANNEL_STEP)),
      .rows_in(`SETTING(ROWS_IN)),
      .pad_rows(`SETTING(PAD_ROWS)),
      .stride_rows(`SETTING(STRIDE_ROWS)),
      .stride_columns(`SETTING(STRIDE_COLUMNS)),
      .steps(`SETTING(STEPS)),
      .channels(`SETTING(CHANNELS)),
      .kernel_rows(`SETTING(KERNEL_ROWS)),
      .kernel_columns(`SETTING(KERNEL_COLUMNS)),
      .begin_map(start),
      .next_row,
      .begin_tile,
      .offset,
      .sweep(state == SWEEP),
      .last(swept),
      .read_address,
      .read_data,
      .tap,
      .channel,
      .spikes,
      .enable,
      .clear,
      .step_first,
      .step_last,
      .position
  );

  // Kernels are fetched once a run, however many rows and steps then use them.
  logic [UNITS*WEIGHT-1:0] weights;
  logic [VALUE-1:0] taps_left;

  assign bias_ready = state == BIAS;
  assign kernel_ready = state == LOAD;
  assign kernels_in = taps_left == VALUE'(1);

  memory_bank #(
      .WIDTH(UNITS * WEIGHT),
      .DEPTH(TAPS)
  ) kernels (
      .clock,
      .write(kernel_ready & kernel_valid),
      .write_index(loaded),
      .write_data(kernel),
      .read_index(tap),
      .read_data(weights)
  );

  always_ff @(posedge clock)
    if (start) taps_left <= `SETTING(TAPS);
    else if (kernel_ready & kernel_valid) taps_left <= taps_left - VALUE'(1);

  // Adders.
  logic [SUM-1:0] power;
  logic [VALUE-1:0] lift;
  logic lift_first;
  logic [ACTIVATION-1:0] largest;

  assign lift = lift_first ? `SETTING(LIFT_0) : `SETTING(LIFT_1);
  assign power = SUM'(1) << lift;
  always_ff @(posedge clock) lift_first <= channel == 0;
  always_ff @(posedge clock) sum_valid <= drain & ~reset;

  for (genvar unit = 0; unit < UNITS; unit++) begin : each
    logic [SUM-1:0] operand, offset_sum, sum, widened, chosen;
    logic [LANES*SUM-1:0] row;
    logic [WEIGHT-1:0] weight;
    logic mine;

    assign weight = weights[unit*WEIGHT+:WEIGHT];
    assign widened = {{(SUM - WEIGHT) {weight[WEIGHT-1]}}, weight};
    always_ff @(posedge clock) begin
      mine <= own ? channel == VALUE'(unit) : unit == 0;
      if (convolve) operand <= LIFT > 0 ? widened << lift : widened;
      else operand <= mine ? power : '0;
    end

    accumulator_row #(
        .LANES(LANES),
        .SUM(SUM)
    ) accumulators (
        .clock,
        .enable,
        .clear,
        .twice(step_first & (RATE == 0)),
        .spikes,
        .operand,
        .sums(row)
    );

    number_mux #(
        .COUNT(LANES),
        .WIDTH(SUM),
        .INDEX(COLUMN)
    ) of_column (
        .numbers(row),
        .index(column),
        .number(chosen)
    );

    always_ff @(posedge clock) begin
      if (start) offset_sum <= '0;
      else if (bias_ready) offset_sum <= bias[unit*SUM+:SUM];
      sum <= ((unit == 0 && maximum) ? SUM'(largest) : chosen) + offset_sum;
    end
    assign sums[unit*SUM+:SUM] = sum;
  end

  if (WINDOW > 0) begin : pooling
    logic [LANES*ACTIVATION-1:0] values;
    if (RATE != 0) begin : of_counts
      counted_maximum_row #(
          .LANES(LANES),
          .ACTIVATION(ACTIVATION)
      ) maxima (
          .clock,
          .enable,
          .clear,
          .step_first,
          .step_last,
          .spikes,
          .values
      );
      logic unused;
      assign unused = &{1'b0, position};
    end else begin : of_bits
      maximum_row #(
          .LANES(LANES),
          .WINDOW(PLACES),
          .POSITION(POSITION),
          .ACTIVATION(ACTIVATION)
      ) maxima (
          .clock,
          .enable,
          .clear,
          .step_first,
          .step_last,
          .position,
          .spikes,
          .values
      );
    end
    number_mux #(
        .COUNT(LANES),
        .WIDTH(ACTIVATION),
        .INDEX(COLUMN)
    ) of_column (
        .numbers(values),
        .index(column),
        .number(largest)
    );
  end else begin : no_pooling
    assign largest = '0;
    logic unused;
    assign unused = &{1'b0, position, clear, step_first, step_last, maximum};
  end
  `undef SETTING
endmodule
