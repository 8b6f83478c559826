"""What a user can put right: a cluster, or files for it, that cannot be used."""

from __future__ import annotations


class ClusterError(ValueError):
    """A wrong address, a folder of somebody else's, too large a package. Its text is one line, with the flag."""
