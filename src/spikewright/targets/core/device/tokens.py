"""Who may use a device: a token for all, or one for each user."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from spikewright import files
from spikewright.errors import ParameterError

VARIABLE = "SPIKEWRIGHT_DEVICE_TOKEN"
SHARED = ""
"""Stands for the user of a token that belongs to nobody in particular."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Tokens:
    """Tokens by user.

    >>> tokens = Tokens({"anna": "a-token-of-anna-16", "ben": "a-token-of-ben-016"})
    >>> tokens.user("a-token-of-ben-016"), tokens.user("guess")
    ('ben', None)
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        for user, token in tokens.items():
            require_token(token, "device.serve")
            if user != SHARED and not _USER.fullmatch(user):
                raise ParameterError(
                    "device.serve: a user must be named by letters, digits and . _ @ -, "
                    f"got {user!r}. Choose another name."
                )
        self._tokens = {user: token.encode() for user, token in tokens.items()}

    def user(self, token: str) -> str | None:
        """Whose token it is; every one is compared, in a time that tells nothing."""
        given, found = token.encode("utf-8", "surrogateescape"), None
        for user, known in self._tokens.items():
            if hmac.compare_digest(given, known):
                found = user
        return found


def new_token() -> str:
    """A token that nobody guesses: 256 random bits."""
    return secrets.token_urlsafe(32)


def require_token(token: str, where: str) -> str:
    """The token, if it is one.

    Raises:
        ParameterError: too short, or with other characters than a header may hold.
    """
    if not _TOKEN.fullmatch(token):
        raise ParameterError(
            f"{where}: a token must be 16 to 512 letters, digits or . _ ~ + / = -, "
            f"got {len(token)} characters. Let `spikewright device serve` make one."
        )
    return token


def user_word(name: str) -> str:
    """A name as it may stand in the log and the queue.

    >>> user_word("anna@lab"), user_word("<script>")
    ('anna@lab', 'anonymous')
    """
    return name if _USER.fullmatch(name) else "anonymous"


def read_tokens(path: Path) -> dict[str, str]:
    """Tokens of a file: one a line, after the name of its user, or alone for all users.

    Raises:
        ParameterError: it cannot be read, or a line is something else.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        reason = getattr(cause, "strerror", None) or "no text"
        raise ParameterError(
            f"device: {str(path)!r} must be a readable file with a token, got {reason}. "
            "Name the file that the server wrote."
        ) from cause
    found: dict[str, str] = {}
    for words in filter(None, map(str.split, lines)):
        user = words[0] if len(words) == 2 else SHARED
        if len(words) > 2 or user in found:
            raise ParameterError(
                f"device: each line of {str(path)!r} must be a token or a new user and a token, "
                f"got {len(words)} words. Correct it."
            )
        found[user] = require_token(words[-1], f"device, {path}")
    if not found:
        raise ParameterError(f"device: {str(path)!r} must hold a token, got none. Write one.")
    return found


def write_token(path: Path) -> str:
    """Make a token and write it to a file that only its owner can read; for a process's start."""
    token = new_token()
    before = os.umask(0o077)
    try:
        files.write_text(path, f"{token}\n")
    finally:
        os.umask(before)
    return token


def given_token(token: str | Path | None) -> str:
    """The token to show: as given, from a file, or from `VARIABLE`.

    Raises:
        ParameterError: there is none.
    """
    if isinstance(token, Path):
        tokens = read_tokens(token)
        if len(tokens) > 1:
            raise ParameterError(
                f"device: {str(token)!r} must hold one token, got those of {len(tokens)} users. "
                "Pass your own."
            )
        return next(iter(tokens.values()))
    found = token if token is not None else os.environ.get(VARIABLE)
    if not found:
        raise ParameterError(
            f"device: a token must be given, got none. Pass token=..., or set {VARIABLE}."
        )
    return require_token(found, "device")
