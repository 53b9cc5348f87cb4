  // What a test puts before the `endmodule` of control_registers, as `bind` would, for Yosys to
  // prove by induction, whatever a processor does: requests in any order and number, answers taken
  // whenever it likes. Counters wrap; what they differ by is small.
  logic [2:0] addresses, data, answers, asked, told;
  logic [4:0] where;
  logic [31:0] what;
  logic [3:0] which;
  logic known, waiting_b, waiting_r, began;
  logic [31:0] rdata_before;
  initial {known, waiting_b, waiting_r} = '0;

  always_ff @(posedge clock) begin
    known <= known | reset;
    waiting_b <= bvalid & ~bready & ~reset;
    waiting_r <= rvalid & ~rready & ~reset;
    rdata_before <= rdata;
    if (awvalid & awready) where <= awaddr;
    if (wvalid & wready) {what, which} <= {wdata, wstrb};
    if (reset) {addresses, data, answers, asked, told} <= '0;
    else begin
      addresses <= addresses + {2'b00, awvalid & awready};
      data <= data + {2'b00, wvalid & wready};
      answers <= answers + {2'b00, bvalid & bready};
      asked <= asked + {2'b00, arvalid & arready};
      told <= told + {2'b00, rvalid & rready};
    end
    began <= start & ~reset;
  end

  always_comb begin
    // The sequencer is busy from the clock after it was started.
    if (began) assume (busy);
    if (known) begin
      // An answer for each write, after its address and its data, and one for each read.
      assert (3'(addresses - answers) == {2'b00, bvalid} + {2'b00, ~awready});
      assert (3'(data - answers) == {2'b00, bvalid} + {2'b00, ~wready});
      assert (3'(asked - told) == {2'b00, rvalid});
      // What is on offer stays as it is until it is taken.
      if (waiting_b) assert (bvalid);
      if (waiting_r) assert (rvalid && rdata == rdata_before);
      if (~awready) assert (write_index == where[4:2]);
      if (~wready)
        for (int lane = 0; lane < 4; lane++)
          assert (write_data[8*lane+:8] == (which[lane] ? what[8*lane+:8] : 8'd0));
      // A start for each write that asks for one, and for nothing else; none while one runs.
      assert (start == (~awready & ~wready & ~bvalid & where[4:2] == 0 & what[0] & which[0] & ~busy));
      // Never neither busy nor done once something was started.
      assert (~(began & ~(started & busy)));
    end
  end
