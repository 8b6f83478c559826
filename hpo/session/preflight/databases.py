"""The databases that a run writes to besides its own: that of --storage, and that of --mlflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.spec.output import OutputSpec
from hpo.spec.plan import SHARED_ATTR, Plan, shared_by_drivers, study_name
from hpo.store.database.study_db import check_no_runs_file, check_unused, open_storage
from hpo.system.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


def check_not_of_a_run(storage: str | None, output: OutputSpec) -> None:
    """Raises UserError where a database is that of another run."""
    own = output.results_dir / output.resume if output.resume else None
    check_no_runs_file("--storage", storage, own)
    check_no_runs_file("--mlflow", output.mlflow, own)


def open_shared_storage(plan: Plan) -> RDBStorage | None:
    """The database of --storage, whose tables are made; None for the run's own.

    Raises UserError where it cannot be opened, or holds a study that is not this run's.
    """
    url, output = plan.spec.search.storage, plan.spec.output
    if url is None:
        return None
    storage = open_storage(url)
    if plan.spec.search.study:
        _check_agreement(storage, plan)
    elif output.name and not output.resume:
        check_unused(storage, url, [study_name(plan, model, output.name) for model in plan.models])
    return storage


def _check_agreement(storage: RDBStorage, plan: Plan) -> None:
    """Raises UserError where the drivers of a shared study would not try the same thing."""
    from optuna import load_study
    from optuna.study import get_all_study_names

    there = get_all_study_names(storage)
    for model in plan.models:
        name = study_name(plan, model, "")
        begun = load_study(study_name=name, storage=storage).user_attrs.get(SHARED_ATTR, {}) if name in there else {}
        changed = [key for key, value in shared_by_drivers(plan, model).items() if begun.get(key, value) != value]
        if changed:
            raise UserError(
                f"--study {plan.spec.search.study}: {model.name} was begun there with other {', '.join(changed)}; give "
                "the same, or take another --study"
            )
