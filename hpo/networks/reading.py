"""Reads a data set with a progress bar, where that takes longer than a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hpo.views.decoding_bar import DecodingBar
from trainers.data.reading import ReadOptions


@contextmanager
def reading(size: tuple[int, ...] | None, resize: str, skip_broken: bool) -> Iterator[ReadOptions]:
    """Yields the options to read a data set with; a bar shows the images that are decoded meanwhile.

    size: height and width of all images, None for their own.
    """
    with DecodingBar() as bar:
        both = (size[0], size[1]) if size else None
        yield ReadOptions(size=both, resize=resize, skip_broken=skip_broken, watch=bar.moved)
