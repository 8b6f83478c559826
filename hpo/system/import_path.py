"""Where Python looks for modules of the user's own."""

from __future__ import annotations

import os
import sys


def add_current_folder() -> None:
    """Lets architectures in the current folder be imported."""
    add_folder(os.getcwd())


def add_folder(folder: str) -> None:
    """Lets modules in `folder` be imported. It comes last: a module of the same name elsewhere goes first."""
    if folder not in sys.path:
        sys.path.append(folder)
