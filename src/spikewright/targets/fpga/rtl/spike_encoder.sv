// The spikes that stand for a number, the last step in bit 0. Radix: its bits. Rate: as many spikes
// as it says, in the last steps, so that trains of smaller numbers are part of those of larger ones.
module spike_encoder #(
    parameter integer ACTIVATION = 4,
    parameter integer PLANES = 4,
    parameter integer RATE = 0
) (
    input  logic [ACTIVATION-1:0] value,
    output logic [    PLANES-1:0] spikes
);
  if (RATE != 0) begin : count
    for (genvar p = 0; p < PLANES; p++) begin : step
      assign spikes[p] = value > ACTIVATION'(p);
    end
  end else begin : radix
    assign spikes = value;
  end
endmodule
