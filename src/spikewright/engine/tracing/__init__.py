"""From a step function to graphs of pointwise operations that any backend can print."""
