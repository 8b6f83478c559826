"""Says why a worker process ended, for the error column of a trial."""

from __future__ import annotations

from cluster.host.worker_logs import last_words
from cluster.ray_private import session_folder

_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating-point exception": "SIGFPE",
}
KILLED = "its worker was killed (SIGKILL), by the system where memory is short, or with its node"


def how_it_ended(name: str) -> str:
    """Says how the worker ended that trained the trial `name`, and which log has more."""
    words, log = last_words(session_folder().parent, name)
    if not words:
        return KILLED
    number = next((f" ({signal})" for fault, signal in _SIGNALS.items() if words.startswith(fault)), "")
    verb = "" if words.startswith("called") else "ended by "
    return f"its worker {verb}{words}{number}; logs/{log} has more"
