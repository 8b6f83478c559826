"""What comes back in files is not taken at its word.

A run's folder, or a file of weights, may have come from elsewhere: a cluster, a colleague. An architecture
MODULE:NAME is code, and a name in a file could be any code: it is imported only if the user names it too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from models import is_known


def check_named(name: str, models: Sequence[str], given: Iterable[str]) -> None:
    """ValueError unless each MODULE:NAME among the `models` of a run to resume is one of those the user has `given`."""
    own = [model for model in models if ":" in model]
    if set(own) - set(given):
        raise UserError(
            f"--resume {name}: is of architecture {', '.join(own)}, whose code would run; to trust it, add"
            f"{consent(models)}"
        )


def check_records(name: str, records: Iterable[TrialRecord], models: Iterable[str]) -> None:
    """ValueError where a finished trial of the run to resume is of none of its `models`, which alone are trusted, or
    has an id that is no name of a file: the finals build networks of the one and write files of the other."""
    known = set(models)
    for record in records:
        if record.model not in known:
            raise UserError(
                f"--resume {name}: its trials.jsonl is not this run's ({record.trial_id} is of {record.model})"
            )
        if Path(record.trial_id).name != record.trial_id:
            raise UserError(f"--resume {name}: its trials.jsonl is not this run's ({record.trial_id} is no trial)")


def consent(models: Sequence[str]) -> str:
    """The flag that a command needs where some of its `models` are code of the user's; nothing where none is."""
    own = any(":" in model for model in models)
    return f" --model {shlex.join(models)}" if own else ""


def check_trusted(file: str, model: str, trusted: str | None) -> None:
    """ValueError unless `model`, which `file` names, is one of Podium's, installed, or the one the user named."""
    if trusted is not None and trusted != model:
        raise UserError(f"--model {trusted}: {file} is of architecture {model}")
    if ":" in model and trusted is None:
        raise UserError(f"{file}: is of architecture {model}, whose code would run; to trust it, add --model {model}")
    if not is_known(model):
        raise UserError(f"{file}: is of architecture {model}, which is not known here")
