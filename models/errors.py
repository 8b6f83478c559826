"""What a user can put right: an architecture that cannot be used."""

from __future__ import annotations


class ModelError(ValueError):
    """An architecture that cannot be imported or built, or does not fit the images. Its text is one line."""
