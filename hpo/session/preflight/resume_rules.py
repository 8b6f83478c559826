"""What a resumed run may change: how long, where and how fast it runs, not what it searches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hpo.spec.checks import difference
from hpo.spec.groups import changeable_settings
from hpo.spec.spaces.search_space import Space
from hpo.spec.spaces.stored import stored_space
from hpo.spec.study import StudySpec
from hpo.store.study_file import WAY_ON, check_whole
from hpo.system.errors import UserError
from hpo.system.urls import masked
from trainers.data.dataset import Dataset


def taken_over(spec: StudySpec, stored: Mapping[str, Any]) -> StudySpec:
    """The spec of a resumed run, with the data set and the precision it began with. stored: its study.json.

    Raises UserError where the file is damaged, or the spec asks for another study.
    """
    name = spec.output.resume
    try:
        check_whole(stored)
    except ValueError as error:
        raise UserError(f"--resume {name}: its study.json is damaged ({error}); {WAY_ON}") from error
    # What was no setting yet when the run began was as its default is.
    begun = {**StudySpec().to_dict(), **stored["spec"]}
    if spec.train.precision == "auto":
        spec = replace(spec, train=replace(spec.train, precision=begun["precision"]))
    known_data = (begun["dataset"], stored["data"]["name"])
    _check_data_set(spec, known_data)
    _check_unchanged(spec, begun)
    _check_urls(spec, begun.get("storage", ""))
    # A folder may lie elsewhere now, and is then where it is said to be.
    is_moved = spec.data.dataset not in known_data
    return spec if is_moved else replace(spec, data=replace(spec.data, dataset=known_data[1]))


def check_same_data(dataset: Dataset, stored: Mapping[str, Any]) -> None:
    """Raises UserError where the images are not those that the run began with."""
    hashes = stored["data"]["hashes"]
    changed = [part for part, value in dataset.hashes.items() if hashes.get(part) != value]
    if changed:
        raise UserError(f"--dataset {dataset.name}: its {', '.join(changed)} split is not the one of the run")


def spaces_it_began_with(spaces: Mapping[str, Space], stored: Mapping[str, Any], name: str | None) -> dict[str, Space]:
    """Returns the spaces of a resumed run, by architecture, as they were when it began: a newer Podium may have others
    by default. Raises UserError where study.json is damaged."""
    begun = stored.get("models", {})
    try:
        return {
            model: stored_space(space, begun[model].get("space") or {}, begun[model].get("space_crc"))
            if model in begun
            else space
            for model, space in spaces.items()
        }
    except (AttributeError, ValueError) as error:
        raise UserError(f"--resume {name}: its study.json is damaged ({error}); {WAY_ON}") from error


def _check_data_set(spec: StudySpec, known: tuple[str, str]) -> None:
    """A folder may lie elsewhere now; whether it is the same is seen by its hashes."""
    asked = spec.data.dataset
    if asked not in known and not os.path.exists(asked):
        changed = difference({"dataset": known[1]}, {"dataset": asked})
        raise UserError(f"--resume {spec.output.resume}: changed, {'; '.join(changed)}")


def _check_unchanged(spec: StudySpec, begun: Mapping[str, Any]) -> None:
    kept = [{k: v for k, v in side.items() if k not in changeable_settings()} for side in (begun, spec.to_dict())]
    if changes := difference(*kept):
        raise UserError(f"--resume {spec.output.resume}: a resumed run cannot change {'; '.join(changes)}")


def _check_urls(spec: StudySpec, storage: str) -> None:
    """study.json keeps no passwords: they must be given again, and the database must be the same."""
    name, asked = spec.output.resume, spec.search.storage
    urls = {"--storage": asked, "--storage-path": spec.resources.storage_path, "--mlflow": spec.output.mlflow}
    for flag, url in urls.items():
        if "***" in (url or ""):
            raise UserError(f"--resume {name}: give {flag} again, its password is not kept")
    if masked(asked or "") != storage:
        raise UserError(f"--resume {name}: --storage must be the one it began with, {storage or 'none'}")
