"""A display in a notebook's cell that is drawn again and again, as rich's `Live` is on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

REFRESH_S = 0.5
WIDTH = 110  # characters: a cell scrolls where it is narrower


class NotebookDisplay:
    """Shows what `draw` returns, twice a second from `start` to `stop`; the last one stays.

    It needs no widgets: the cell's output is replaced, and a saved notebook has it.
    """

    def __init__(self, draw: Callable[[], RenderableType]) -> None:
        self._draw, self._stopped = draw, threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True)
        self._output: Any = None

    def start(self) -> None:
        """Shows it for the first time, and goes on in a thread of its own."""
        from IPython.display import DisplayHandle

        self._output = DisplayHandle()  # type: ignore[no-untyped-call]
        self._output.display(bundle(self._draw()), raw=True)
        self._thread.start()

    def stop(self) -> None:
        """Shows it for the last time."""
        self._stopped.set()
        self._thread.join()
        self._show()

    def _refresh(self) -> None:
        while not self._stopped.wait(REFRESH_S):
            self._show()

    def _show(self) -> None:
        self._output.update(bundle(self._draw()), raw=True)


def bundle(drawn: RenderableType) -> dict[str, str]:
    """What a notebook shows: HTML, and plain text where there is none."""
    console = Console(file=StringIO(), record=True, width=WIDTH, force_terminal=True, force_jupyter=False)
    console.print(drawn)
    page = console.export_html(inline_styles=True, code_format=_HTML, clear=False)
    return {"text/html": page, "text/plain": console.export_text()}


# The notebook's own colours: it may be a dark one.
_HTML = '<pre style="font-family: monospace; line-height: 1.3; white-space: pre; overflow-x: auto">{code}</pre>'
