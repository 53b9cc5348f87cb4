"""Words that both sides use on the wire."""

from __future__ import annotations

PROTOCOL = 1
ROOT = f"/v{PROTOCOL}"
"""Version of the protocol: the first part of every path."""

JSON, ARRAYS = "application/json", "application/vnd.safetensors"
"""Types of a body."""

CHIP = "Spikewright-Chip"
"""Header of every answer: the digest of the chip's identity."""

USER = "Spikewright-User"
"""Header of a request: who asks, where the token does not say it."""

RUN_ID = "Idempotency-Key"
"""Header of a run: the id that the client chose for it."""

WAIT = "Prefer"
"""Header of a request for a result: ``wait=SECONDS``, how long the answer may take."""
