"""What a user reads before and after a run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpo.spec.plan import Plan
from hpo.store.model_file import arguments, has_weights
from hpo.store.run_folder import RunFolder
from hpo.system.terminal import console
from hpo.system.text import say
from hpo.trials.asha import rungs
from hpo.trials.ranking import Ranked
from hpo.views.formats import duration
from hpo.views.tables import best_table, finals_table

if TYPE_CHECKING:
    from hpo.session.session import Outcome
    from hpo.trials.finalists import Finalist


def show_plan(plan: Plan) -> None:
    """The banner: what will run, on what data, with which search, on what."""
    spec, data = plan.spec, plan.dataset
    if spec.output.quiet:
        return
    each = f" ({spec.search.trials} for each of {len(plan.models)})" if len(plan.models) > 1 else ""
    stops = rungs(spec.search.epochs)
    early = f"asha stops weak trials at {_list(stops)}" if spec.search.stops_early and stops else "no early stopping"
    gpu = f" and {plan.gpus_per_trial:g} GPU" if plan.gpus_per_trial else ""
    for notice in plan.notices:
        say(f"note: {notice}")
    say(f"models:  {', '.join(f'{m.name} ({m.parameters:,} parameters)' for m in plan.models)}")
    objective = f", for {' and '.join(spec.search.objective)}" if len(spec.search.objective) > 1 else ""
    budget = f", within {spec.search.time_budget}" if spec.search.time_budget else ""
    say(
        f"trials:  {plan.total_trials}{each}, {spec.search.epochs} epochs, {spec.search.sampler}{objective}, "
        f"{early}{budget}"
    )
    say(f"data:    {data}")
    workers = spec.resources.workers_per_trial
    spread = f"{workers} workers each, with " if workers > 1 else ""
    say(
        f"runs on: {_at_once(plan)} at once, {spread}{spec.resources.cpus_per_trial} CPU{gpu} each, "
        f"{_precisions(plan)} on {plan.device}"
    )
    if spec.output.dry_run:
        _show_spaces(plan)


def _at_once(plan: Plan) -> str:
    """ "2 trials", or "1 array of up to 16 trials"."""
    lanes, count = plan.most_lanes, plan.places
    plural = "s" if count > 1 else ""
    return f"{count} array{plural} of up to {lanes} trials" if lanes > 1 else f"{count} trial{plural}"


def _precisions(plan: Plan) -> str:
    """ "float32", or "bf16 (cnn), float32 (mlp, lenet5)"."""
    by: dict[str, list[str]] = {}
    for model in plan.models:
        by.setdefault(model.precision, []).append(model.name)
    return next(iter(by)) if len(by) == 1 else ", ".join(f"{name} ({', '.join(of)})" for name, of in by.items())


def _show_spaces(plan: Plan) -> None:
    """What --dry-run adds: every architecture's space and first trial."""
    for model in plan.models:
        say(f"space of {model.name}:")
        for key, distribution in model.space.distributions.items():
            say(f"  {key:<13} {distribution}  (first trial: {model.space.default[key]})")


def show_results(ranked: list[Ranked], folder: RunFolder, plan: Plan, outcome: Outcome) -> None:
    """The ten best, the finals, where the time went, where the files are, and how to train the winner again."""
    if plan.spec.output.quiet or not ranked:
        print(folder.trials_csv)
        return
    say(f"The best of {len(ranked)} trials" if len(ranked) > 10 else "Trials, best first")
    console().print(best_table(ranked))
    if any(item.pareto for item in ranked[:10]):
        say("* on the Pareto front of accuracy, parameters and time")
    if outcome.finalists:
        _show_finals(outcome.finalists)
    if outcome.times and outcome.state == "complete":
        _show_times(outcome, plan)
    print()
    say(f"results: {folder.trials_csv}, leaderboard.csv and curves.csv beside it")
    made = folder.report_html.exists()
    say(f"report:  {folder.report_html if made else f'hpo report {shlex.quote(str(folder.path))} makes it'}")
    winner = ranked[0].record
    if winner.usable:
        kept = has_weights(folder.path, winner)
        say(f"weights: {folder.best_pt if kept else 'not kept, ' + str(folder.logs / 'hpo.log') + ' says why'}")
        if kept and not outcome.finalists:
            say(f"on the test split, once: hpo evaluate {arguments(folder.path, winner.model)}")
        if kept:
            say(f"the winner again:        hpo train --from {arguments(folder.path, winner.model)}")


def _show_finals(finalists: Sequence[Finalist]) -> None:
    count = max(len(finalist.seeds) for finalist in finalists)
    say(f"Finals: trained anew, on validation images too, with {count} seed{'s' if count > 1 else ''}, and tested once")
    console().print(finals_table(finalists))
    if len(finalists) > 1:
        say("= not to be told from the first")


def _show_times(outcome: Outcome, plan: Plan) -> None:
    times = outcome.times
    assert times is not None
    finals = f"; {duration(outcome.finals_s)} of finals" if outcome.finalists else ""
    say(f"time:    {duration(times.elapsed_s)} with {_at_once(plan)} at once: {times.words()}{finals}")
    if advice := times.advice(plan.spec.data.train_size is None):
        say(advice)


def _list(epochs: tuple[int, ...]) -> str:
    return f"epoch{'s' if len(epochs) > 1 else ''} {', '.join(map(str, epochs))}"
