// What a word of an event stream says.
package event_pkg;
  localparam [1:0] SPIKE = 0;  // the line or neuron of this index has a spike
  localparam [1:0] STEP = 1;   // all spikes of this time step are told
  localparam [1:0] FRESH = 2;  // the sample is over: forget all state
endpackage
