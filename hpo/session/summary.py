"""What a user reads before and after a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hpo.session.outcome import Outcome
from hpo.spec.plan import Plan
from hpo.store.model_file import arguments, has_weights
from hpo.store.run_folder import RunFolder
from hpo.store.study_file import RunState
from hpo.store.trust import consent, functions_of
from hpo.system.terminal import console
from hpo.system.text import say
from hpo.trials.finalists import Finalist
from hpo.trials.metric import words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.trials.rung_report import report_rungs
from hpo.views.early_stopping import advice
from hpo.views.formats import duration, plural
from hpo.views.tables import best_table, finals_table, shared_line


def show_plan(plan: Plan, *, spaces: bool = False) -> None:
    """The banner: what will run, on what data, with which search, on what; for a dry run each space, too."""
    for line in plan.lines(spaces=spaces) if not plan.spec.output.quiet else ():
        say(line)


def show_results(ranked: list[Ranked], folder: RunFolder, plan: Plan, outcome: Outcome) -> None:
    """The ten best, the finals, where the time went, where the files are, and how to train the winner again."""
    if plan.spec.output.quiet or not ranked:
        print(folder.trials_csv)
        return
    say(f"The best of {len(ranked)} trials" if len(ranked) > 10 else "Trials, best first")
    terminal = console()
    terminal.print(best_table(ranked, terminal))
    if common := shared_line([item.record for item in ranked]):
        say(common)
    if any(item.pareto for item in ranked[:10]):
        say(f"* on the Pareto front of {words(plan.spec.search.metric)}, parameters and time")
    if outcome.finalists:
        _show_finals(outcome.finalists)
    if outcome.times and outcome.state is RunState.COMPLETE:
        _show_times(outcome, plan)
    search = plan.spec.search
    if hint := advice(report_rungs(outcome.records, search.rungs, search.epochs)):
        say(hint)
    print()
    _show_files(ranked[0].record, folder, plan, outcome)


def _show_files(winner: TrialRecord, folder: RunFolder, plan: Plan, outcome: Outcome) -> None:
    """Where the files are, and what can be done with the winner's weights."""
    say(f"results: {folder.trials_csv}, leaderboard.csv and curves.csv beside it")
    made = folder.report_html.exists()
    say(f"report:  {folder.report_html if made else f'hpo report {shlex.quote(str(folder.path))} makes it'}")
    if not winner.usable:
        return
    kept = has_weights(folder.path, winner)
    say(f"weights: {folder.best_pt if kept else 'not kept, ' + str(folder.logs / 'hpo.log') + ' says why'}")
    if kept and not outcome.finalists:
        say(f"on the test split, once: hpo evaluate {arguments(folder.path, winner.model)}")
    if kept:
        say(f"the winner again:        hpo train --from {arguments(folder.path, winner.model)}{_own(winner, plan)}")


def _own(winner: TrialRecord, plan: Plan) -> str:
    """The flags that name the code of the user's own that the winner was trained with."""
    given = dict(plan.spec.own_functions)
    of_run = [(flag, given[flag]) for flag in ("--trainer", "--dataset") if flag in given]
    return consent((), [*functions_of(winner), *of_run])


def _show_finals(finalists: Sequence[Finalist]) -> None:
    count = max(len(finalist.seeds) for finalist in finalists)
    say(f"Finals: trained anew, on validation images too, with {plural(count, 'seed')}, and tested once")
    console().print(finals_table(finalists))
    if len(finalists) > 1:
        say("= not to be told from the first")


def _show_times(outcome: Outcome, plan: Plan) -> None:
    times = outcome.times
    assert times is not None
    finals = f"; {duration(outcome.finals_s)} of finals" if outcome.finalists else ""
    say(f"time:    {duration(times.elapsed_s)} with {plan.at_once} at once: {times.words()}{finals}")
    if advice := times.advice(plan.spec.data.train_size is None):
        say(advice)
