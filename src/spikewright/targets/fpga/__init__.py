"""FPGA: trained networks as accelerators that read activations bit by bit, as radix spikes."""
