"""The mistakes of a user that concern the data set."""

from __future__ import annotations


class DataError(ValueError):
    """A data set that is missing, damaged or unsuitable. The message is one line, with the flag and the value."""
