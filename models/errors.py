"""The mistakes of a user that concern the architecture."""

from __future__ import annotations


class ModelError(ValueError):
    """An architecture that cannot be imported or built, or does not fit the images. The message is one line."""
