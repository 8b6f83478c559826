"""The token that keeps strangers out of a Ray cluster: whoever may submit to it may run anything on it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cluster.errors import address_error

HOW = "put the cluster's into ~/.ray/auth_token (chmod 600), or name its file in $RAY_AUTH_TOKEN_PATH"


def token_file() -> Path:
    """Where Ray looks for the token: $RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def use_token() -> None:
    """Lets Ray present the token, if there is one. Call it before Ray is imported: Ray does not look later.

    Raises ConnectionError where RAY_AUTH_MODE asks for a token and there is none. Ray would end the process.
    """
    there = bool(os.environ.get("RAY_AUTH_TOKEN")) or token_file().is_file()
    if there:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif os.environ.get("RAY_AUTH_MODE") == "token":
        raise ConnectionError(f"RAY_AUTH_MODE=token, but there is no token: {HOW}")


def own_token() -> None:
    """Gives a Ray that this process starts a token where Ray cannot write one, because the home is read-only."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return
    try:
        ensure_token()
    except OSError:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def headers() -> dict[str, str]:
    """The headers that a request to the dashboard needs; none without a token."""
    token = os.environ.get("RAY_AUTH_TOKEN") or (token_file().read_text().strip() if token_file().is_file() else "")
    return {"Authorization": f"Bearer {token}"} if token else {}


def token_error(address: str, had_token: bool) -> ConnectionError:
    """The cluster at `address` did not take our token, or there was none."""
    what = "does not take this token" if had_token else "asks for a token"
    return address_error(address, f"the cluster there {what}: {HOW}")


def ensure_token() -> Path:
    """Makes a token that only its owner can read, where there is none; returns its file.

    A token that others can read is closed to them.
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
