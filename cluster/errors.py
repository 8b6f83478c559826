"""Exit codes of the cluster commands, and the error for what a user can put right."""

from __future__ import annotations

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class ClusterError(ValueError):
    """A mistake of the user's: a wrong address, a folder of somebody else, a package that is too large.

    Its text is one line, with the flag.
    """
