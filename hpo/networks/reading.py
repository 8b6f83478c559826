"""Reads a data set with a progress bar, where that takes longer than a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from hpo.spec.spaces.own_functions import load
from hpo.system.errors import UserError
from hpo.system.text import describe_error
from hpo.views.bars.decoding_bar import DecodingBar
from trainers.data.names import is_function
from trainers.data.reading import ReadOptions


@contextmanager
def reading(
    name: str, size: tuple[int, ...] | None, resize: str, skip_broken: bool, stream: bool = False
) -> Iterator[ReadOptions]:
    """Yields the options to read a data set with; a bar shows the images that are decoded meanwhile.

    name: of the data set; where it is a function of the user's own, its code runs. size: height and width of all
    images, None for their own.
    """
    with DecodingBar() as bar:
        both = (size[0], size[1]) if size else None
        make = partial(_made, name) if is_function(name) else None
        yield ReadOptions(size=both, resize=resize, skip_broken=skip_broken, watch=bar.moved, make=make, stream=stream)


def _made(name: str) -> Any:
    """What the user's own function returns. Raises UserError, in one line."""
    make = load("--dataset", name)
    try:
        return make()
    except Exception as error:
        raise UserError(f"--dataset {name}: fails ({describe_error(error)})") from error
