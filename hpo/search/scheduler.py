"""The order in which Tune starts trials. Who is stopped early is the searcher's affair (hpo/search/promotion.py)."""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler


class InOrder(FIFOScheduler):
    """Starts each trial on a worker of its own until there are enough, and then on one that is free.

    Tune's own hands a worker that is free to a trial whose worker is just starting, and ends that one: on a cluster,
    trials that are shorter than the start of a worker would all run on one node.
    """

    def choose_trial_to_run(self, tune_controller: Any, **_: Any) -> None:
        """None: Tune then looks for a worker for the newest trial, which has none yet."""
