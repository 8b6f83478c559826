"""The data sets that have names, and the ways to resize: readable without numpy."""

from __future__ import annotations

import re
from pathlib import Path

IDX = ("mnist", "fashion-mnist", "kmnist")
EMNIST_SPLITS = ("balanced", "letters", "digits", "byclass", "bymerge", "mnist")
OF_TORCHVISION = ("emnist", *(f"emnist-{split}" for split in EMNIST_SPLITS), "cifar10", "cifar100", "svhn")
DATASETS = ("auto", *IDX, *OF_TORCHVISION, "digits")
PREFIX = "torchvision:"  # of any class of torchvision.datasets that yields images and labels
RESIZES = ("crop", "pad", "squash")
MAX_SIDE = 1024  # pixels that images may be scaled to


def is_function(name: str) -> bool:
    """Whether this is MODULE:NAME or FILE.py:NAME, a function of the user's own that makes a data set."""
    return not is_named(name) and re.fullmatch(r"[^:]+:[A-Za-z_]\w*", name) is not None and not Path(name).exists()


def is_named(name: str) -> bool:
    """Whether this is a data set with a name, and not a path."""
    return name in DATASETS or name.startswith(PREFIX)
