// Takes numbers from the input stream, row by row, and has each row written as spikes.
// Clocks of a run, with the stream ready: features + rows steps.
module input_unit #(
    parameter integer VALUE = 16
) (
    input  logic                                       clock,
    input  logic                                       reset,
    /* verilator lint_off UNUSEDSIGNAL */  // a unit reads its own settings
    input  logic [instruction_pkg::SETTINGS*VALUE-1:0] settings,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic                                       start,
    output logic                                       done,
    output logic                                       stalled,
    output logic                                       ready,
    input  logic                                       valid,
    output logic                                       put,
    output logic                                       flush,
    input  logic                                       flushed
);
  localparam [1:0] IDLE = 0, TAKE = 1, FLUSH = 2;

  logic [1:0] state;
  logic [VALUE-1:0] columns_left, features_left;

  assign ready = state == TAKE;
  assign put = ready & valid;
  assign stalled = ready & ~valid;
  assign flush = put & ((columns_left == VALUE'(1)) | (features_left == VALUE'(1)));
  assign done = (state == FLUSH) & flushed & (features_left == 0);

  always_ff @(posedge clock) begin
    case (state)
      IDLE: begin
        features_left <= settings[instruction_pkg::FEATURES*VALUE+:VALUE];
        columns_left <= settings[instruction_pkg::COLUMNS_OUT*VALUE+:VALUE];
        if (start) state <= TAKE;
      end
      TAKE:
      if (valid) begin
        features_left <= features_left - VALUE'(1);
        columns_left  <= columns_left - VALUE'(1);
        if (flush) state <= FLUSH;
      end
      FLUSH:
      if (flushed) begin
        columns_left <= settings[instruction_pkg::COLUMNS_OUT*VALUE+:VALUE];
        state <= features_left == 0 ? IDLE : TAKE;
      end
      default: ;
    endcase
    if (reset) state <= IDLE;
  end
endmodule
