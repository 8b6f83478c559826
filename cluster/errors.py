"""Exit codes, and what a user can put right: a cluster, or files for it, that cannot be used."""

from __future__ import annotations

FAILED = 1  # the run or the machine
BAD_INPUT = 2  # a flag, a file or a cluster that cannot be used
SIGNALLED = 128  # plus the number of the signal that ended a process, as shells have it
INTERRUPTED = SIGNALLED + 2  # Ctrl-C


class ClusterError(ValueError):
    """A mistake of the user's: a wrong address, a folder of somebody else, a package that is too large.

    Its text is one line, with the flag.
    """


START_ONE = "start one on this machine with: python cluster/local.py up"


def address_error(address: str, why: str) -> ConnectionError:
    """What is wrong with the cluster at `address`, in one line, whatever the number of lines in `why`."""
    return ConnectionError(f"--address {address}: {' '.join(why.split())}")
