"""What workers print, and how they ended: read from the logs of Ray's session on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

CRASH = "worker-crash-"  # a worker's own file: what it trains, and its last words (hpo/worker/last_words.py)
KEPT_BYTES = 1_000_000  # of a file, its end
_LEFT_OUT = b"(the first %d bytes are left out)\n"


def keep_worker_logs(scratch: Path, logs: Path | None) -> None:
    """Moves the end of what each worker printed into `logs`; nothing where nobody asks for it."""
    for file in find_logs(scratch) if logs else ():
        content = _tail(file)
        # Lines that begin with a colon are marks of which actor wrote the next ones.
        if any(line and not line.startswith(b":") for line in content.splitlines()):
            assert logs is not None
            (logs / file.name).write_bytes(content)
            file.unlink()  # a Ray that goes on must not hand it out again


def find_logs(scratch: Path) -> Iterable[Path]:
    """The workers' logs of every session in Ray's folder for temporary files."""
    return sorted(scratch.glob("session_[0-9]*/logs/worker-*"))


def last_words(scratch: Path, trained: str) -> tuple[str, str]:
    """How the process ended that last trained the trial `trained`, and the name of its log.

    Both are "" where the process left no words, because it was killed or ran on another machine.
    """
    mark = f":trains {trained}\n"
    for file in sorted(scratch.glob(f"session_[0-9]*/logs/{CRASH}*"), key=_written, reverse=True):
        _, found, after = file.read_text(errors="replace").rpartition(mark)
        if not found or ":trains " in after:
            continue
        fatal = re.search(r"Fatal Python error: (.+)", after)
        called = re.search(r"os\._exit\((-?\d+)\)", after)
        words = f"called os._exit({called[1]})" if called else fatal[1].strip() if fatal else ""
        return words, file.name if words else ""
    return "", ""


def _written(file: Path) -> float:
    return file.stat().st_mtime


def _tail(file: Path) -> bytes:
    size = file.stat().st_size
    with file.open("rb") as opened:
        opened.seek(max(0, size - KEPT_BYTES))
        content = opened.read(KEPT_BYTES)
    return _LEFT_OUT % (size - KEPT_BYTES) + content if size > KEPT_BYTES else content
