"""Checks of what files say, because files can come from elsewhere.

A run's folder or a file of weights may come from a cluster or a colleague. An architecture MODULE:NAME in it could be
any code, so it is imported only if the user names it too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from models import is_known, is_own
from models.errors import ModelError
from models.libraries import check_name


def check_named(name: str, models: Sequence[str], given: Iterable[str]) -> None:
    """Raises UserError unless the user has `given` each MODULE:NAME among the `models` of a run to resume."""
    own = [model for model in models if is_own(model)]
    if set(own) - set(given):
        raise UserError(
            f"--resume {name}: uses the architecture {', '.join(own)}, whose code would run; to trust it, add"
            f"{consent(models)}"
        )


def check_records(name: str, records: Iterable[TrialRecord], models: Iterable[str]) -> None:
    """Raises UserError when a finished trial of the run to resume uses none of its `models`, or has an id that is no
    file name. Only these models are trusted: the finals build networks of them, and write files with the ids."""
    known = set(models)
    for record in records:
        if record.model not in known:
            raise UserError(
                f"--resume {name}: its trials.jsonl belongs to another run ({record.trial_id} uses {record.model})"
            )
        if Path(record.trial_id).name != record.trial_id:
            raise UserError(f"--resume {name}: its trials.jsonl belongs to another run ({record.trial_id} is no trial)")


def consent(models: Sequence[str]) -> str:
    """The flag that a command needs when some of its `models` are the user's own code; "" when none is."""
    own = any(map(is_own, models))
    return f" --model {shlex.join(models)}" if own else ""


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
