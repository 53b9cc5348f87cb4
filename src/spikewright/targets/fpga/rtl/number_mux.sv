// One of several numbers that lie side by side. They are moved a power of two of bits apart first:
// at another distance, an even one above all, tools make a shifter of all their bits instead of a
// multiplexer, which takes several times as many look-up tables.
module number_mux #(
    parameter integer COUNT = 28,
    parameter integer WIDTH = 16,
    parameter integer INDEX = 5
) (
    input  logic [COUNT*WIDTH-1:0] numbers,
    input  logic [      INDEX-1:0] index,
    output logic [      WIDTH-1:0] number
);
  localparam integer SLOT = 2 ** $clog2(WIDTH);
  logic [COUNT*SLOT-1:0] slots;

  for (genvar each = 0; each < COUNT; each++) begin : slot
    assign slots[each*SLOT+:SLOT] = SLOT'(numbers[each*WIDTH+:WIDTH]);
  end
  assign number = slots[index*SLOT+:WIDTH];
endmodule
