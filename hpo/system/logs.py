"""Everything Ray, Optuna and Python have to say goes to one file, not to the terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def leave_out_hints() -> None:
    """Silences what Ray and Optuna say of widgets, in a notebook that has none: nothing of ours would use them."""
    logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="IProgress not found")


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Sends all log records and warnings to `path`, and to nothing else, until the end of the block."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in ("ray", "ray.tune", "ray.data", "optuna"))]
    before = [(logger, logger.handlers[:], logger.propagate) for logger in loggers]
    level = root.level
    root.setLevel(logging.INFO)
    for logger in loggers[1:]:
        logger.handlers, logger.propagate = [], True
    root.handlers = [handler]
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        root.setLevel(level)
        handler.close()


class _LogFile(logging.FileHandler):
    """A log line that a full disk does not take is no reason to write to the terminal, or to end with an error."""

    def handleError(self, record: logging.LogRecord) -> None: ...

    def close(self) -> None:
        with suppress(OSError):  # what was not written yet
            super().close()
