"""Keeps the folder of a local cluster, which says which processes `down` ends. So it must be the user's alone.

It is in /tmp by default, where anyone can put something of that name first.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.host.atomic import half_name, replacing

STATE = "state.json"
_HALF = half_name(STATE)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_there(folder: Path) -> bool:
    """Whether there is a cluster's folder. ClusterError where something else is: it is neither read nor removed."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _refused(folder, f"cannot be looked at ({error.strerror})") from error
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(folder, "is a link" if stat.S_ISLNK(found.st_mode) else "is no folder")
    _check_ours(folder, folder, found)
    inside = sorted(name for name in os.listdir(folder) if not name.startswith(_HALF))
    if inside and STATE not in inside:
        raise _refused(folder, f"holds other things than a cluster's ({inside[0]})")
    return True


def make(folder: Path, state: dict[str, Any]) -> None:
    """Makes the folder, for us alone, with a state in it. ClusterError where anything is there or it cannot be made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        write_state(folder, state)
    except FileExistsError:
        raise _refused(folder, "has been put there meanwhile") from None
    except OSError as error:
        raise ClusterError(f"--dir {folder}: cannot be made ({error.strerror})") from error


def remove(folder: Path) -> None:
    """Removes a folder that `is_there`, or as much of it as goes: what says that it is a cluster's comes last."""
    if not is_there(folder):
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != STATE:
            path.unlink(missing_ok=True)
    if set(os.listdir(folder)) <= {STATE}:
        shutil.rmtree(folder, ignore_errors=True)


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the state in one step: a kill leaves the old one or the new one."""
    with replacing(folder / STATE) as file:
        file.write(json.dumps(state).encode())


def read_state(folder: Path) -> dict[str, Any]:
    """port, dashboard_port and nodes, each with its pid and when it was born; no nodes where there is no cluster.

    Raises ClusterError where the folder or the state is not ours alone, or the state is damaged.
    """
    if not is_there(folder) or not os.path.lexists(folder / STATE):
        return {"nodes": []}
    try:
        handle = os.open(folder / STATE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle) as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("no plain file")
            _check_ours(folder, folder / STATE, found)
            return _checked(json.load(file))
    except OSError as error:
        raise _refused(folder, f"has a {STATE} that cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if str(error).startswith("--dir "):
            raise
        raise _refused(folder, f"has a {STATE} that is damaged ({type(error).__name__}: {error})") from error


def _check_ours(folder: Path, path: Path, found: os.stat_result) -> None:
    what = "" if path == folder else f"has a {path.name} that "
    if found.st_uid != os.getuid():
        raise _refused(folder, f"{what}is another user's")
    if found.st_mode & _OTHERS_WRITE:
        raise _refused(folder, f"{what}others may write to")


def _checked(state: Any) -> dict[str, Any]:
    """The state, of which only whole numbers are taken: 0 and -1 would be whole groups of processes."""
    nodes = [{"pid": _number(node["pid"], 2), "born": _number(node["born"], 0)} for node in state["nodes"]]
    ports = {key: _number(state[key], 1) for key in ("port", "dashboard_port")}
    return {**ports, "nodes": nodes}


def _number(value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ClusterError(f"{value!r} is no number from {least} on")
    return value


def _refused(folder: Path, why: str) -> ClusterError:
    return ClusterError(
        f"--dir {folder}: {why}; nothing was ended and nothing removed: look at it, or give another --dir"
    )
