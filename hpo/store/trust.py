"""Checks of what files say, because files can come from elsewhere.

A run's folder or a file of weights may come from a cluster or a colleague. An architecture MODULE:NAME in it could be
any code, so it is imported only if the user names it too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpo.system.errors import UserError
from hpo.trials.metric import ACCURACY
from hpo.trials.records import TrialRecord
from models import is_known, is_own
from models.errors import ModelError
from models.libraries import check_name
from trainers.config import LOSSES, TrainConfig

Functions = Sequence[tuple[str, tuple[str, ...]]]
"""Flags, with their values, that name a loss or a metric of the user's own."""


def functions_of(record: TrialRecord) -> Functions:
    """The flags that name the loss and the metric of a trial, where they are somebody's own."""
    named = {"--loss": record.config.get("loss"), "--metric": record.metric}
    return [(flag, (name,)) for flag, name in named.items() if isinstance(name, str) and ":" in name]


def check_named(
    name: str, models: Sequence[str], given: Iterable[str], functions: Functions = (), given_functions: Functions = ()
) -> None:
    """Raises UserError unless the user has `given` each MODULE:NAME among the `models` of a run to resume, and all
    flags with functions of their own."""
    own = [model for model in models if is_own(model)]
    if set(own) - set(given):
        raise UserError(
            f"--resume {name}: uses the architecture {', '.join(own)}, whose code would run; to trust it, add"
            f"{consent(models)}"
        )
    if missing := [pair for pair in functions if pair not in given_functions]:
        words = consent((), missing)
        raise UserError(f"--resume {name}: uses code of its own, which would run; to trust it, add{words}")


def check_records(
    name: str, records: Iterable[TrialRecord], models: Iterable[str], losses: Iterable[str] = (), metric: str = ACCURACY
) -> None:
    """Raises UserError when a finished trial of the run to resume uses none of its `models`, a loss of somebody's own
    that is none of its `losses`, or another metric, or has an id that is no file name. Only these models and losses are
    trusted: the finals build networks of them, and write files with the ids."""
    known, trusted = set(models), {*LOSSES, *losses}
    for record in records:
        if record.metric != metric or record.config.get("loss", TrainConfig.loss) not in trusted:
            raise UserError(
                f"--resume {name}: its trials.jsonl belongs to another run (loss or metric of {record.trial_id})"
            )
        if record.model not in known:
            raise UserError(
                f"--resume {name}: its trials.jsonl belongs to another run ({record.trial_id} uses {record.model})"
            )
        if Path(record.trial_id).name != record.trial_id:
            raise UserError(f"--resume {name}: its trials.jsonl belongs to another run ({record.trial_id} is no trial)")


def consent(models: Sequence[str], functions: Functions = ()) -> str:
    """The flags that a command needs when some of its `models` or `functions` are the user's own code; "" when none
    is."""
    own = [("--model", tuple(models))] if any(map(is_own, models)) else []
    return "".join(f" {flag} {shlex.join(values)}" for flag, values in (*own, *functions))


def check_trusted(file: str, model: str, trusted: str | None) -> None:
    """Raises UserError unless `model`, which `file` names, is Podium's, a library's, a plug-in's, or was named by the
    user."""
    if trusted is not None and trusted != model:
        raise UserError(f"--model {trusted}: {file} uses the architecture {model}")
    if is_own(model) and trusted is None:
        raise UserError(
            f"{file}: uses the architecture {model}, whose code would run; to trust it, add --model {model}"
        )
    try:
        check_name(model)
    except ModelError as error:
        raise UserError(f"{file}: uses the architecture {error}") from error
    if not is_known(model):
        raise UserError(f"{file}: uses the architecture {model}, which is unknown here")
