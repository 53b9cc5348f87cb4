"""Numba sources of the exact solver; see `spikewright.engine.native`.

A neuron's state is (u, j) at some time, so no exponential of an absolute time occurs. After s
without arrivals it is

    u(s) = a u + k j      j(s) = b j      a = e^(-s/tau_mem)   b = e^(-s/tau_syn)
    k = tau_syn / (tau_mem - tau_syn) (a - b)
"""
