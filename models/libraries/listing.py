"""The names of the libraries' classifiers, read from their source: importing torchvision and torch takes seconds, in
which a mistyped name would go unanswered."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

EXTRAS = {"torchvision": "", "timm": "[timm]"}  # the optional part of Podium that a library comes with
LIBRARIES = tuple(EXTRAS)
# Both libraries mark each function that builds a classifier, in the files of their folder models.
_REGISTERED = re.compile(r"^@register_model\b.*\n(?:(?!def ).*\n)*?def (\w+)", re.MULTILINE)


@cache
def names(library: str) -> tuple[str, ...]:
    """Returns the names of a library's classifiers, in order; none where it is not installed."""
    found = find_spec(library)
    if found is None or found.origin is None:
        return ()
    files = Path(found.origin).with_name("models").glob("*.py")
    return tuple(sorted({name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))}))
