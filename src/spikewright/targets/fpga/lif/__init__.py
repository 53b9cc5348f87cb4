"""FPGA: networks of LIF and IF neurons, step by step, on an event-driven core in fixed point."""
