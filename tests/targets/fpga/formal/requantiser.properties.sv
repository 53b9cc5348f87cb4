  // What a test puts before the `endmodule` of requantiser, as `bind` would, for Yosys to prove.
  // Nothing is shifted to the right here: an activation a is floor(N / 2^shift + 1/2), N = sum
  // 2^LEFT, exactly if 2^shift (2 a - 1) <= 2 N < 2^shift (2 a + 1). All that is looked at are the
  // inputs of two clocks and what came of them; settings hold still meanwhile.
  localparam integer LONG = 2 * (SUM + LEFT) + ACTIVATION + 4;

  logic signed [SUM-1:0] sum_1, sum_2;
  logic [SHIFT-1:0] shift_1, shift_2;
  logic [BITS-1:0] bits_1, bits_2;
  logic [1:0] age;
  initial age = '0;
  always_ff @(posedge clock) begin
    age <= age == 2 ? age : age + 2'd1;
    {sum_1, shift_1, bits_1} <= {sum, shift, bits};
    {sum_2, shift_2, bits_2} <= {sum_1, shift_1, bits_1};
  end

  logic signed [LONG-1:0] doubled, value, largest;
  assign doubled = $signed({{(LONG - SUM) {sum_2[SUM-1]}}, sum_2}) <<< (LEFT + 1);
  assign largest = (LONG'(1) << bits_2) - LONG'(1);
  assign value = LONG'(activation);

  always_comb begin
    assume (shift <= SHIFT'(SUM + LEFT));
    assume (bits >= 1 && bits <= BITS'(ACTIVATION));
    if (age != 0) assume (shift == shift_1 && bits == bits_1);
    if (age == 2) begin
      // Within the range; the largest, and only it, where the sum is beyond.
      assert (value <= largest);
      assert (saturated == (doubled >= ((2 * largest + 1) << shift_2)));
      if (saturated) assert (value == largest);
      // The nearest whole number below that, halves rounded up; nothing of what is negative.
      if (~saturated) assert (doubled < (((value << 1) + 1) << shift_2));
      if (~saturated && value != 0) assert (doubled >= (((value << 1) - 1) << shift_2));
    end
  end
