// Where weights come from: a memory on the chip, or (STREAMED) a stream from outside. Both hand out
// the same words in the same order; who takes them cannot tell which it is.
module weight_source #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 1024,
    parameter integer STREAMED = 0,
    parameter IMAGE = ""
) (
    input  logic             clock,
    input  logic             rewind,
    input  logic             ready,
    output logic             valid,
    output logic [WIDTH-1:0] data,
    output logic             stream_ready,
    input  logic             stream_valid,
    input  logic [WIDTH-1:0] stream_data
);
  if (STREAMED != 0) begin : outside
    assign stream_ready = ready;
    assign valid = stream_valid;
    assign data = stream_data;
    logic unused;
    assign unused = &{1'b0, clock, rewind};
  end else begin : on_chip
    assign stream_ready = 1'b0;
    stream_memory #(
        .WIDTH(WIDTH),
        .DEPTH(DEPTH),
        .IMAGE(IMAGE)
    ) memory (
        .clock,
        .rewind,
        .ready,
        .valid,
        .data
    );
    logic unused;
    assign unused = &{1'b0, stream_valid, stream_data};
  end
endmodule
