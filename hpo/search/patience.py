"""A storage that fails now and then: what it refuses is tried again for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from hpo.system.text import single_line

T = TypeVar("T")
FIRST_PAUSE_S = 0.5  # enough for a connection that was dropped
LONGEST_PAUSE_S = 8.0  # up to which pauses double, so that a server that starts anew is not flooded with calls
MAX_LOGGED_CHARS = 200  # of an error: SQLAlchemy's go on with the whole statement
logger = logging.getLogger(__name__)


class Patience:
    """Calls what needs the storage, again and again where that fails."""

    def __init__(self, seconds: float = 0.0) -> None:
        """seconds: how long a call is tried again."""
        self.seconds = seconds

    def lose(self) -> None:
        """From now on nothing is tried again: the search has ended."""
        self.seconds = -1.0

    def call(self, action: Callable[[], T]) -> T:
        """Returns what `action` returns; raises what it raised last, where the time is over."""
        until, pause = time.monotonic() + self.seconds, FIRST_PAUSE_S
        while True:
            try:
                return action()
            except (StorageInternalError, SQLAlchemyError) as error:
                if self.seconds < 0 or time.monotonic() + pause > until:
                    raise
                logger.warning("the storage failed and is tried again: %s", single_line(str(error))[:MAX_LOGGED_CHARS])
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
