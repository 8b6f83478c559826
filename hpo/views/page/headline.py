"""The first screen of the page: what won, how it compares, what it cost, and what to type next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpo.store.stored_run import StoredRun
from hpo.store.study_file import RunState
from hpo.store.trust import consent
from hpo.trials.finalists import Finalist
from hpo.trials.metric import words
from hpo.trials.ranking import Ranked
from hpo.trials.records import TrialRecord
from hpo.views.formats import accuracy, difference, duration, hyperparameter, interval, number, percent, plural
from hpo.views.tables import differing_keys


@dataclass(frozen=True)
class Headline:
    """What a reader learns first."""

    won: str
    """The winning trial and its architecture."""
    measured: str
    """Name of what was measured of it, such as "test accuracy"."""
    value: str
    note: str
    """The interval and how often it was trained, or that it was not tested."""
    facts: tuple[tuple[str, str], ...]
    """Name and text of what it is compared with, and what it cost."""
    commands: tuple[tuple[str, str], ...]
    """What for, and the command; none while the run works."""


def headline(run: StoredRun, ranked: Sequence[Ranked], finalists: Sequence[Finalist]) -> Headline | None:
    """The headline of a run; None where no trial is usable.

    The winner is the best trial by validation, whose network best.pt has, and not the best finalist by the test images.
    """
    winner = ranked[0].record if ranked else None
    if winner is None or not winner.usable:
        return None
    name = words(winner.metric)
    tested = next((one for one in finalists if one.record.trial_id == winner.trial_id), None)
    works = run.study["state"] == RunState.RUNNING
    verb = "leads so far" if works else "won"
    alone = len(run.study["models"]) == 1
    won = f"{winner.trial_id} {verb}" if alone else f"{winner.model} {verb}, with {winner.trial_id}"
    facts, commands = tuple(_facts(run, winner, finalists)), () if works else tuple(_commands(run, winner))
    if tested is None:
        note = "not tested: the value of the best of many trials is a little too good"
        return Headline(won, f"validation {name}", accuracy(winner.value), note, facts, commands)
    networks = plural(len(tested.seeds), "network")
    note = f"95 % interval {interval(tested.measured.low, tested.measured.high)}, mean of {networks}"
    return Headline(won, f"test {name}", accuracy(tested.measured.mean), note, facts, commands)


def _facts(run: StoredRun, winner: TrialRecord, finalists: Sequence[Finalist]) -> Iterator[tuple[str, str]]:
    of_model = [record for record in run.records if record.model == winner.model]
    searched = [key for key in differing_keys(of_model) if key in winner.config] or list(winner.config)
    yield "configuration", ", ".join(f"{key} {hyperparameter(winner.config[key])}" for key in searched)
    yield "size", f"{number(winner.parameters)} parameters"
    first = min(of_model, key=lambda record: record.number)
    if first.trial_id != winner.trial_id and first.usable:
        gain = difference((winner.score or 0.0) - (first.score or 0.0))
        yield (
            "against the first trial",
            f"{words(winner.metric)} {gain} on the validation images: {accuracy(winner.value)}, and "
            f"{accuracy(first.value)} of {first.trial_id}, the architecture's recipe",
        )
    tied = [f.record.model for f in finalists if f.tied_with_best and f.record.trial_id != winner.trial_id]
    best = next((f for f in finalists if f.record.trial_id == winner.trial_id), None)
    if best and best.tied_with_best and tied:
        yield "not significantly different", ", ".join(tied)
    elif best and not best.tied_with_best:
        yield "better on the test images", finalists[0].record.model
    yield "cost", _cost(run)


def _cost(run: StoredRun) -> str:
    done, sessions = sum(record.epochs for record in run.records), run.study["sessions"]
    parts = [f"{plural(len(run.records), 'trial')} of {plural(done, 'epoch')} together"]
    whole = len(run.records) * int(run.spec.get("epochs", 0))
    if 0 < done < whole:
        parts.append(f"{percent(1 - done / whole)} of all epochs were saved by early stopping")
    took = sum(session.get("times", {}).get("elapsed_s", 0.0) + session.get("finals_s", 0.0) for session in sessions)
    if took:
        parts.append(duration(took))
    return ", ".join(parts)


def _commands(run: StoredRun, winner: TrialRecord) -> Iterator[tuple[str, str]]:
    name, trust = shlex.quote(run.name), consent([winner.model])
    yield "class by class", f"hpo evaluate {name}{trust}"
    yield from uses(name, winner.model, epochs=2 * int(run.spec.get("epochs", 10)))
    more = 2 * int(run.spec.get("trials", 0)) or len(run.records) + 20
    yield "search on", f"hpo run --resume {name} --trials {more}{consent(list(run.study['models']))}"


def uses(name: str, model: str, epochs: int) -> Iterator[tuple[str, str]]:
    """What can be done with trained weights, and the commands. epochs: of a longer training."""
    trust = consent([model])
    yield "classify pictures", f"hpo predict {name} PICTURE ...{trust}"
    yield "for other programs", f"hpo export {name} --format onnx{trust}"
    yield "train it longer", f"hpo train --from {name} --epochs {epochs}{trust}"
