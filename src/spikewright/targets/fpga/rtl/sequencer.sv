// Goes through the instructions, keeps the settings that the units read, and starts the units.
// An instruction takes two clocks; those that start a unit also wait for it.
module sequencer #(
    parameter integer VALUE = 16,   // bits of a setting
    parameter integer DEPTH = 256,  // instructions
    parameter IMAGE = ""
) (
    input  logic                                       clock,
    input  logic                                       reset,
    input  logic                                       start,
    output logic                                       busy,
    output logic [instruction_pkg::SETTINGS*VALUE-1:0] settings,
    output logic                                       start_input,
    output logic                                       start_map,
    output logic                                       start_linear,
    input  logic                                       done
);
  localparam integer INDEX = $clog2(DEPTH);
  localparam [1:0] IDLE = 0, FETCH = 1, EXECUTE = 2, WAIT = 3;

  logic [31:0] instructions[0:DEPTH-1];
  initial $readmemh(IMAGE, instructions);

  logic [1:0] state;
  logic [INDEX-1:0] index, loop_index, next;
  logic [VALUE-1:0] loops_left, value;
  /* verilator lint_off UNUSEDSIGNAL */  // no value needs more than VALUE bits
  logic [31:0] instruction;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [31:0] word;
  logic [3:0] operation;
  logic [4:0] name;
  logic execute, again, run;

  // Asked for a clock ahead, for block RAM is slow, and so is what an instruction sets going.
  always_comb begin
    next = index;
    if (state == IDLE) next = '0;
    else if (execute) next = again ? loop_index : index + INDEX'(1);
  end
  always_ff @(posedge clock) begin
    index <= next;
    word <= instructions[next];
    instruction <= word;
  end

  assign operation = instruction[31:28];
  assign name = instruction[27:23];
  assign value = instruction[VALUE-1:0];
  assign execute = state == EXECUTE;
  assign busy = state != IDLE;
  assign start_input = execute & (operation == instruction_pkg::TAKE);
  assign start_map = execute & (operation == instruction_pkg::RUN_MAP);
  assign start_linear = execute & (operation == instruction_pkg::RUN_LINEAR);
  assign run = start_input | start_map | start_linear;
  assign again = (operation == instruction_pkg::NEXT) & (loops_left != VALUE'(1));

  always_ff @(posedge clock) begin
    case (state)
      IDLE: if (start) state <= FETCH;
      FETCH: state <= EXECUTE;
      EXECUTE: begin
        if (operation == instruction_pkg::LOOP) begin
          loop_index <= index + INDEX'(1);
          loops_left <= value;
        end else if (operation == instruction_pkg::NEXT) loops_left <= loops_left - VALUE'(1);
        if (operation == instruction_pkg::END) state <= IDLE;
        else state <= run ? WAIT : FETCH;
      end
      default: if (done) state <= FETCH;  // WAIT
    endcase
    if (reset) state <= IDLE;
  end

  for (genvar each = 0; each < instruction_pkg::SETTINGS; each++) begin : setting
    logic [VALUE-1:0] kept;
    always_ff @(posedge clock)
      if (execute && name == 5'(each)) begin
        if (operation == instruction_pkg::SET) kept <= value;
        else if (operation == instruction_pkg::STEP) kept <= kept + value;
      end
    assign settings[each*VALUE+:VALUE] = kept;
  end
endmodule
