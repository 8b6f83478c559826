"""What a run that is resumed takes over from its folder, and what of it is not taken at its word.

The folder may have come from elsewhere, a cluster or a colleague. An architecture MODULE:NAME is code, and a name in a
file could be any code: it is imported only if the user names it too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hpo.spec.study import OF_ONE_CALL, setting_names
from hpo.store.study_file import WAY_ON, read_study
from hpo.trials.records import TrialRecord


def stored_settings(results_dir: Path, name: str) -> dict[str, Any]:
    """The settings in the study.json of a run, by flag name, without those of one call.

    Raises ValueError, in one line, where there is no such run, it cannot be read, or it has a setting that is not known
    here.
    """
    folder = results_dir / name
    try:
        spec = dict(read_study(folder / "study.json")["spec"])
    except FileNotFoundError:
        names = sorted(path.parent.name for path in results_dir.glob("*/study.json"))
        raise ValueError(
            f"--resume {name}: no such run in {results_dir}; there are {', '.join(names) or 'none'}"
        ) from None
    except (ValueError, OSError) as error:
        raise ValueError(f"--resume {name}: its study.json cannot be read ({error}); {WAY_ON}") from error
    if strange := [key for key in spec if key not in setting_names()]:
        raise ValueError(f"--resume {name}: its study.json cannot be read (no setting is called {strange[0]})")
    return {key: value for key, value in spec.items() if key not in OF_ONE_CALL}


def check_named(name: str, models: Sequence[str], given: Iterable[str]) -> None:
    """ValueError unless each MODULE:NAME among the `models` of a run to resume is one of those the user has `given`."""
    own = [model for model in models if ":" in model]
    if set(own) - set(given):
        raise ValueError(
            f"--resume {name}: is of architecture {', '.join(own)}, whose code would run; to trust it, add"
            f"{consent(models)}"
        )


def check_records(name: str, records: Iterable[TrialRecord], models: Iterable[str]) -> None:
    """ValueError where a finished trial of the run to resume is of none of its `models`, which alone are trusted, or
    has an id that is no name of a file: the finals build networks of the one and write files of the other."""
    known = set(models)
    for record in records:
        if record.model not in known:
            raise ValueError(
                f"--resume {name}: its trials.jsonl is not this run's ({record.trial_id} is of {record.model})"
            )
        if Path(record.trial_id).name != record.trial_id:
            raise ValueError(f"--resume {name}: its trials.jsonl is not this run's ({record.trial_id} is no trial)")


def consent(models: Sequence[str]) -> str:
    """The flag that a command needs where some of its `models` are code of the user's; nothing where none is."""
    own = any(":" in model for model in models)
    return f" --model {shlex.join(models)}" if own else ""
