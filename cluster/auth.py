"""The token that keeps strangers out of a Ray cluster: whoever may submit to it may run anything on it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

HOW = "put the cluster's into ~/.ray/auth_token (chmod 600), or name its file in $RAY_AUTH_TOKEN_PATH"


def token_file() -> Path:
    """Where Ray looks for the token: $RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def use_token() -> None:
    """Lets Ray present the token, if there is one. Before Ray is imported: later it does not look.

    Raises ConnectionError where RAY_AUTH_MODE asks for a token and there is none, which Ray ends the process for.
    """
    there = bool(os.environ.get("RAY_AUTH_TOKEN")) or token_file().is_file()
    if there:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif os.environ.get("RAY_AUTH_MODE") == "token":
        raise ConnectionError(f"RAY_AUTH_MODE=token, but there is no token: {HOW}")


def own_token() -> None:
    """Gives a Ray of this process a token of its own where it could not write one: a home that is read-only."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return
    try:
        ensure_token()
    except OSError:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def headers() -> dict[str, str]:
    """What a request to the dashboard needs to carry; empty without a token."""
    token = os.environ.get("RAY_AUTH_TOKEN") or (token_file().read_text().strip() if token_file().is_file() else "")
    return {"Authorization": f"Bearer {token}"} if token else {}


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
