"""The token that keeps strangers out of a Ray cluster: whoever may submit to it may run anything on it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def token_file() -> Path:
    """Where Ray looks for the token: $RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def ensure_token() -> Path:
    """Makes a token, readable for its owner alone, where there is none; returns its file.

    An existing one that others may read is closed to them.
    """
    path = token_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        return path
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
    return path
