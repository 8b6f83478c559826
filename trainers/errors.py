"""What a user can put right: a data set that cannot be used."""

from __future__ import annotations


class DataError(ValueError):
    """A data set that is not there, is damaged or does not fit. Its text is one line, with the flag and the value."""
