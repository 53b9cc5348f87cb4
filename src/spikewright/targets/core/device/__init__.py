"""A chip or its twin behind a wire: server and client, for any target that has a codec.

The protocol is described in ``docs/targets/device_protocol.md``. Files, from the wire up:
``message`` (arrays and plain values as one body), ``form`` (which arrays a target sends, checked),
``changes`` (only what changed goes over the wire), ``turns`` (one experiment at a time), ``desk``
(what a server does for its users), ``http`` (the same over HTTP), ``serve``; and on the other side
``link`` (requests, repeated while nobody answers) and ``client``.
"""
