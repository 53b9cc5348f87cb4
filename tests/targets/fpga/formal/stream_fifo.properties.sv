  // What a test puts before the `endmodule` of stream_fifo, as `bind` would, for Yosys to prove by
  // induction. A sender looks at `room`, in the same clock or the one before its word comes, or knows
  // how much there is: it never pushes when all is full. Any one word may be followed on its way:
  // what holds for it holds for all.
  logic room_before, pick, followed;
  logic [INDEX:0] ahead;  // words that leave before the one that is followed
  logic [WIDTH-1:0] value;
  logic started, chosen, waiting;
  logic [WIDTH-1:0] data_before;
  logic [INDEX-1:0] place;
  initial {started, followed, waiting} = '0;

  (* anyseq *) logic any;
  assign pick = any;
  assign chosen = push & pick & ~followed & ~reset;
  assign place = head + ahead[INDEX-1:0];

  always_ff @(posedge clock) begin
    started <= started | reset;
    room_before <= room & ~reset;
    waiting <= valid & ~ready & ~reset;
    data_before <= data;
    if (reset) followed <= 1'b0;
    else if (chosen) begin
      followed <= 1'b1;
      ahead <= count - {{INDEX{1'b0}}, pop};
      value <= push_data;
    end else if (followed & pop) begin
      followed <= ahead != 0;
      ahead <= ahead - (INDEX + 1)'(1);
    end
  end

  always_comb begin
    if (push) assume (count < (INDEX + 1)'(DEPTH) | ~started);
    if (started) begin
      // Never more words than there is room for, never a place that holds two or none.
      assert (count <= (INDEX + 1)'(DEPTH));
      assert (tail == head + count[INDEX-1:0]);
      // A sender that looked just now and one clock ago still finds a place.
      if (room_before) assert (count < (INDEX + 1)'(DEPTH));
      // Empty exactly when nothing is in it, and room for two where it says so.
      assert (valid == (count != 0));
      if (room) assert (count + (INDEX + 1)'(2) <= (INDEX + 1)'(DEPTH));
      else assert (count + (INDEX + 1)'(2) > (INDEX + 1)'(DEPTH));
      // What is on offer stays as it is until it is taken.
      if (waiting) assert (valid & (data == data_before));
      // The word that is followed is there, unchanged, behind as many as when it came, less those
      // that left; so it leaves once, and after those before it and before those after it.
      if (followed) begin
        assert (ahead < count);
        assert (words[place] == value);
        if (ahead == 0) assert (valid & (data == value));
      end
    end
  end
