"""What a run that is resumed takes over from its folder, and what of it is not taken at its word.

The folder may have come from elsewhere, a cluster or a colleague. An architecture MODULE:NAME is code, and a name in a
file could be any code: it is imported only if the user names it too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.spec.groups import setting_names, settings_of_one_call
from hpo.store.places import not_a_run
from hpo.store.study_file import WAY_ON, read_study
from hpo.system.errors import UserError


def stored_settings(results_dir: Path, name: str) -> dict[str, Any]:
    """The settings in the study.json of a run, by flag name, without those of one call.

    Raises UserError, in one line, where there is no such run, it cannot be read, or it has a setting that is not known
    here.
    """
    folder = results_dir / name
    try:
        spec = dict(read_study(folder / "study.json")["spec"])
    except FileNotFoundError:
        raise UserError(f"--resume {not_a_run(name, results_dir)}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"--resume {name}: its study.json cannot be read ({error}); {WAY_ON}") from error
    if strange := [key for key in spec if key not in setting_names()]:
        raise UserError(f"--resume {name}: its study.json cannot be read (no setting is called {strange[0]})")
    return {key: value for key, value in spec.items() if key not in settings_of_one_call()}
