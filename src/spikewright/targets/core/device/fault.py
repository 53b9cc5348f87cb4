"""What can be wrong with a request, as it is written on the wire."""

from __future__ import annotations

import json
from typing import Any

from spikewright.errors import DeviceError

STATUS = {
    "bad_request": 400,
    "bad_body": 400,
    "bad_arrays": 400,
    "bad_values": 400,
    "wrong_digest": 400,
    "wrong_token": 401,
    "unknown_version": 404,
    "unknown_path": 404,
    "unknown_run": 404,
    "wrong_method": 405,
    "unknown_base": 409,
    "unknown_configuration": 409,
    "length_required": 411,
    "body_too_large": 413,
    "refused_by_chip": 422,
    "run_id_reused": 422,
    "too_many_runs": 429,
    "server_error": 500,
    "chip_failed": 502,
    "queue_full": 503,
    "too_many_connections": 503,
    "stopping": 503,
}
"""Names of faults, and the HTTP status that each is sent with."""


class Fault(DeviceError):
    """A named fault; the server sends it, the client raises it.

    Args:
        name: one of `STATUS`; a client also passes on names that it does not know.
        message: what is wrong and what to do, one sentence or two.
        status: HTTP status; that of the name by default.
        retry_after: s after which the same request may succeed.
    """

    def __init__(
        self, name: str, message: str, status: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.name, self.retry_after = name, retry_after
        self.status = STATUS[name] if status is None else status

    def body(self) -> bytes:
        """The JSON that goes with the status.

        >>> Fault("unknown_run", "device: no such run.").body()
        b'{"error": {"name": "unknown_run", "message": "device: no such run."}}'
        """
        error: dict[str, Any] = {"name": self.name, "message": str(self)}
        return json.dumps({"error": error}).encode()
