"""A neuron as a user writes it: quadratic integrate-and-fire with adaptation, in 15 lines."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

import spikewright as sw


@dataclass
class Params:
    tau_mem: sw.Value = sw.time_constant(10e-3)
    tau_adapt: sw.Value = sw.time_constant(50e-3)
    v_threshold: sw.Value = 1.0
    beta: sw.Value = 0.3


State = NamedTuple("State", [("v", torch.Tensor), ("a", torch.Tensor)])  # noqa: UP014


class QuadraticIF(sw.Neuron):
    """``tau_mem dv/dt = v (v - 0.5) - beta a + x``, ``tau_adapt da/dt = -a``, a spike adds one."""

    Params, State = Params, State

    @staticmethod
    def coefficients(p, dt):
        return dt / p.tau_mem, torch.exp(-dt / p.tau_adapt), p.v_threshold, p.beta

    @staticmethod
    def step(x, state, c):
        rate, decay, threshold, beta = c
        v = state.v + rate * (state.v * (state.v - 0.5) - beta * state.a + x)
        spikes = sw.spike(v - threshold)
        return spikes, State(torch.where(spikes > 0, 0.0, v), decay * state.a + spikes)
