// What an instruction is made of: [31:28] operation, [27:23] setting, [22:0] value.
// A value counts modulo 2^VALUE, the bits of a setting in network_pkg.
// The same numbers stand in instructions.py; a test compares the two.
package instruction_pkg;
  // Operations.
  localparam [3:0] END = 4'd0;         // the network is done
  localparam [3:0] SET = 4'd1;         // setting <- value
  localparam [3:0] STEP = 4'd2;        // setting <- setting + value
  localparam [3:0] LOOP = 4'd3;        // what follows, up to NEXT, runs value times
  localparam [3:0] NEXT = 4'd4;
  localparam [3:0] TAKE = 4'd5;        // the input stream into the activation memory
  localparam [3:0] RUN_MAP = 4'd6;     // convolution, pooling or addition, as MODE says
  localparam [3:0] RUN_LINEAR = 4'd7;

  // Settings. Addresses and steps count words of the activation memory.
  localparam integer SOURCE = 0;          // first word of the input
  localparam integer TARGET = 1;          // first word of the output
  localparam integer CHANNEL_STEP = 2;    // from one input channel to the next
  localparam integer TARGET_STEP = 3;     // from one output channel to the next
  localparam integer ROW_STEP = 4;        // from the first input row of one output row to the next's
  localparam integer ROW_START = 5;       // of the first output row: minus the padding
  localparam integer STEPS = 6;           // planes of spikes of the input
  localparam integer CHANNELS = 7;        // input channels that one output sees
  localparam integer ROWS_IN = 8;
  localparam integer KERNEL_ROWS = 9;
  localparam integer KERNEL_COLUMNS = 10;
  localparam integer STRIDE_ROWS = 11;
  localparam integer PAD_ROWS = 12;
  localparam integer ROWS_OUT = 13;
  localparam integer COLUMNS_OUT = 14;
  localparam integer OFFSET = 15;         // by how much an input row is shifted for the first tile
  localparam integer TILE_STEP = 16;      // by how much more for the next tile
  localparam integer STRIDE_COLUMNS = 17;
  localparam integer UNITS = 18;          // units that have an output channel
  localparam integer MODE = 19;
  localparam integer LIFT_0 = 20;         // operands of the first channel count 2^LIFT_0
  localparam integer LIFT_1 = 21;         // and the others 2^LIFT_1
  localparam integer SHIFT = 22;          // of the requantiser
  localparam integer BITS = 23;           // of an output activation; 0 sends the sums out
  localparam integer FEATURES = 24;       // numbers that TAKE or RUN_LINEAR reads
  localparam integer COLUMNS_IN = 25;     // of them in one row of the activation memory
  localparam integer OUTPUTS = 26;        // of RUN_LINEAR
  localparam integer RESULTS = 27;        // numbers that the network sends out
  localparam integer TAPS = 28;           // words of kernels that RUN_MAP fetches
  localparam integer KEEP = 29;           // bit 0: sums go into partial_sums and nowhere else;
                                          // 1: what is there is added; 2: go on where it stopped
  localparam integer SETTINGS = 30;

  localparam [1:0] MODE_CONVOLVE = 2'd0;
  localparam [1:0] MODE_MAXIMUM = 2'd1;
  // Any other mode adds: every weight is a power of two, without kernels and biases. The first unit
  // takes all channels, or, of its own, each unit takes the channel that has its number.
  localparam [1:0] MODE_OWN = 2'd3;
endpackage
