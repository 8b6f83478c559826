"""How a run ends that cannot end by itself: it is interrupted for good, or its cluster is gone."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass

from hpo.session.outcome import Judge, Outcome
from hpo.session.study_json import ended
from hpo.store.csv_tables import trials_frame
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_records
from hpo.system.errors import FAILED
from hpo.system.files import write_atomically
from hpo.system.interrupt import in_prompt
from hpo.trials.ranking import RankBy, rank

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LastWords:
    """Writes what is finished, from whichever thread, while the main one may be anywhere, and says how to go on."""

    folder: RunFolder
    judge: Judge
    rank_by: RankBy

    def interrupted(self) -> str:
        """What is said of a run that is ended at once."""
        return self._written(self.judge.outcome(read_records(self.folder.journal), interrupted=True))

    def cluster_lost(self, address: str) -> None:
        """Ends the process. The cluster is gone, and with it every call that the search is waiting in: all that is left
        to do is to write what is finished, say so and leave."""
        fault = f"the Ray cluster at {address} does not answer any more"
        words = self._written(self.judge.outcome(read_records(self.folder.journal), fault=fault))
        print(f"\nhpo: {words}", file=sys.stderr, flush=True)
        if not in_prompt():
            os._exit(FAILED)

    def _written(self, outcome: Outcome) -> str:
        logger.error("%s", outcome.error)
        with suppress(OSError):
            frame = trials_frame(rank(outcome.records, self.rank_by))
            write_atomically(self.folder.trials_csv, frame.to_csv(index=False))
        with suppress(OSError, ValueError):
            self.folder.write_study(ended(self.folder.read_study(), outcome.state, {}))
        return outcome.error
