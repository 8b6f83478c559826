"""What came of a run, as its user reads it at the end, and again with `hpo show`: all of it from the run's files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hpo.spec.plan import at_once
from hpo.store.model_file import arguments, has_weights
from hpo.store.stored_run import StoredRun
from hpo.store.study_file import RunState
from hpo.store.trust import consent, functions_of
from hpo.system.terminal import console, say_wrapped
from hpo.system.text import say
from hpo.trials.finalists import Finalist
from hpo.trials.metric import words
from hpo.trials.records import TrialRecord
from hpo.views.early_stopping import advice
from hpo.views.formats import duration, plural
from hpo.views.tables import best_table, finals_table, shared_line
from hpo.views.timing import Times
from trainers.data.names import is_function

_INDENT = 9  # of what follows "time:    "


def show_run(run: StoredRun) -> None:
    """The ten best, the finals, where the time went, where the files are, and how to train the winner again."""
    ranked, finalists = run.ranked(), run.finalists()
    say(f"The best of {len(ranked)} trials" if len(ranked) > 10 else "Trials, best first")
    terminal = console()
    terminal.print(best_table(ranked, terminal))
    if common := shared_line([item.record for item in ranked]):
        say_wrapped(common, _INDENT)
    winner = ranked[0].record
    if any(item.pareto for item in ranked[:10]):
        say(f"* on the Pareto front of {words(winner.metric)}, parameters and time")
    if finalists:
        _show_finals(finalists)
    if run.study["state"] == RunState.COMPLETE:
        _show_times(run)
    if hint := advice(run.rungs()):
        say_wrapped(hint, _INDENT)
    print()
    _show_files(winner, run, tested=bool(finalists))


def _show_finals(finalists: Sequence[Finalist]) -> None:
    count = max(len(finalist.seeds) for finalist in finalists)
    say(f"Finals: trained anew, on validation images too, with {plural(count, 'seed')}, and tested once")
    console().print(finals_table(finalists))
    if len(finalists) > 1 and sum(finalist.tied_with_best for finalist in finalists) > 1:
        say("= not significantly different from rank 1")


def _show_times(run: StoredRun) -> None:
    session = run.study["sessions"][-1] if run.study["sessions"] else {}
    if "times" not in session:
        return
    times = Times(**session["times"])
    size = max(run.study.get("resources", {}).get("group_size", {}).values(), default=1)
    finals = f"; {duration(session['finals_s'])} of finals" if session.get("finals_s") and run.finals else ""
    say_wrapped(
        f"time:    {duration(times.elapsed_s)} with {at_once(times.places, size)} at once: {times.words()}{finals}",
        _INDENT,
    )
    if advice := times.advice(all_images=run.spec.get("train_size") is None):
        say_wrapped(advice, _INDENT)


def _show_files(winner: TrialRecord, run: StoredRun, tested: bool) -> None:
    """Where the files are, and what can be done with the winner's weights."""
    folder = run.path
    made = (folder / "report.html").exists()
    say(f"results: {folder / 'trials.csv'}, leaderboard.csv and curves.csv beside it")
    say(f"report:  {folder / 'report.html' if made else f'hpo report {shlex.quote(str(folder))} makes it'}")
    if not winner.usable:
        return
    if not has_weights(folder, winner):
        say(f"weights: not kept, {folder / 'logs' / 'hpo.log'} says why")
        return
    say(f"weights: {folder / 'best.pt'}")
    if (folder / "trial.pt").exists():
        say("         trained anew for the finals, on validation images too; trial.pt is the network of the search")
    if not tested:
        say(f"on the test split, once: hpo evaluate {arguments(folder, winner.model)}")
    say(f"the winner again:        hpo train --from {arguments(folder, winner.model)}{_own(winner, run)}")


def _own(winner: TrialRecord, run: StoredRun) -> str:
    """The flags that name the code of the user's own that the winner was trained with."""
    given = {"--trainer": run.spec.get("trainer"), "--dataset": run.spec.get("dataset")}
    own = [(flag, (name,)) for flag, name in given.items() if name and (flag == "--trainer" or is_function(name))]
    return consent((), [*functions_of(winner), *own])
