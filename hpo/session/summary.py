"""What a user reads before and after a run."""

from __future__ import annotations

from collections.abc import Sequence

from hpo.spec.plan import Plan
from hpo.store.run_folder import RunFolder
from hpo.store.stored_run import read_run
from hpo.system.terminal import say_wrapped
from hpo.trials.ranking import Ranked
from hpo.views.summary import show_run

_INDENT = 9  # of what follows "models:  "


def show_plan(plan: Plan, *, spaces: bool = False) -> None:
    """The banner: what will run, on what data, with which search, on what; for a dry run each space, too."""
    for line in plan.lines(spaces=spaces) if not plan.spec.output.quiet else ():
        say_wrapped(line, _INDENT)


def show_results(ranked: Sequence[Ranked], folder: RunFolder, plan: Plan) -> None:
    """What came of the run; of a quiet one, and of one without trials, where its files are."""
    if plan.spec.output.quiet or not ranked:
        print(folder.trials_csv)
    else:
        show_run(read_run(folder.path))
