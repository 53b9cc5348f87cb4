"""How a step becomes a run: scan, trace, backends, spike primitives and surrogates."""
