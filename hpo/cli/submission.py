"""Makes a job of a run's flags: which of them hold on the cluster's head, and which files must travel."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path

from cluster.jobs.package import EXTRA, MIB, PACKAGES, size_of
from cluster.submit import Job
from hpo.cli.flags import flag_of, parse_spec, value_of
from hpo.spec.settings import DataSpec
from hpo.spec.study import StudySpec
from hpo.store.run_folder import check_free, reopen, stem
from hpo.store.trust import consent
from hpo.system.errors import UserError
from hpo.system.urls import masked
from models.own import is_file
from trainers.data.names import is_function

MAX_DATA_BYTES = 90 * MIB
_PLACES = ("--results-dir", "--name", "--data-dir", "--config")  # differ on the head


def make_job(line: Sequence[str]) -> Job | None:
    """The job that runs `line`, the flags of hpo/run.py; None where they asked for help, which is then printed.

    Raises UserError, in one line, for what hpo/run.py would refuse before it looks at the machine.
    """
    spec = parse_spec(line)
    if spec is None:
        return None
    if spec.resources.address:
        raise UserError(
            f"--address {spec.resources.address}: a job joins its own cluster; leave this flag out after the --"
        )
    output = spec.output
    name = output.resume or output.name or _free_name(spec.search.model)
    if not output.resume:
        check_free(output.results_dir, name)
    flags, extra = _without(line, _PLACES), {}
    if output.resume:
        if value_of(line, "--resume") != name:  # a path, of which the head has another
            flags = [*_without(flags, ["--resume"]), "--resume", name]
        reopen(output.results_dir, name).unlock()  # a driver that is at work there would be sent half
        extra[f"resume/{name}"] = output.results_dir / name
    else:
        flags += ["--name", name]
    _check_places(spec)
    _check_own_files("--model", spec.search.model)
    for flag, words in spec.own_functions:
        _check_own_files(flag, [name for word in words for name in word.rpartition("=")[2].split(",")])
    variables = _data(spec.data, flags, extra, value_of(line, "--data-dir") is None)
    if config := value_of(line, "--config"):
        extra["config.toml"] = Path(config)
        flags += ["--config", f"{EXTRA}/config.toml"]
    shown = shlex.join(masked(word) if "://" in word else word for word in flags)
    return Job(
        name=name,
        flags=tuple(flags),
        shown=shown,
        target=output.results_dir / name,
        project=Path.cwd(),
        extra=extra,
        variables=variables,
        own=consent(spec.search.model, spec.own_functions),
    )


def _free_name(models: Sequence[str]) -> str:
    """A name that is free on the head too, to which other machines may submit in the same second."""
    return f"{stem(models)}-{secrets.token_hex(3)}"


def _check_places(spec: StudySpec) -> None:
    """UserError for a place in the job's own folder, which is removed with the job."""
    storage, path = spec.search.storage or "", spec.resources.storage_path or ""
    if spec.search.earlier_runs and not spec.output.resume:
        named = " ".join(spec.search.earlier_runs)
        raise UserError(f"--learn-from {named}: earlier runs are on this machine, and do not travel; leave it out")
    if spec.output.live:
        raise UserError("--live: serves the page on the machine of the job alone; leave it out")
    if storage.startswith("sqlite"):
        raise UserError(f"--storage {storage}: is a file of this machine; give a server, or leave it out")
    if path and "://" not in path and not Path(path).is_absolute():
        raise UserError(f"--storage-path {path}: give the whole path, as the cluster's nodes see it")


def _check_own_files(flag: str, names: Sequence[str]) -> None:
    """UserError for an architecture or a function FILE.py:NAME whose file does not travel."""
    for name in filter(is_file, names):
        file, project = Path(name.rpartition(":")[0]).resolve(), Path.cwd()
        if not file.is_relative_to(project):
            raise UserError(f"{flag} {name}: the file is not in {project}, which is what a job takes along")
        folder = file.relative_to(project).parts[0]
        if folder in PACKAGES:
            raise UserError(
                f"{flag} {name}: a job has Podium's own {folder}/ in place of yours; move the file to another folder"
            )


def _data(data: DataSpec, flags: list[str], extra: dict[str, Path], in_file: bool) -> dict[str, str]:
    """Adds a data set's files, or where the head has them, to `extra` and `flags`; returns environment variables."""
    own = (os.sep in data.dataset or os.path.exists(data.dataset)) and not is_function(data.dataset)
    if own and _travels("--dataset", path := Path(data.dataset)):
        extra[f"dataset/{path.name}"] = path
        flags[:] = [*_without(flags, ["--dataset"]), "--dataset", f"{EXTRA}/dataset/{path.name}"]
    if data.data_dir is None:
        return {}
    if not _travels("--data-dir", data.data_dir):
        flags += ["--data-dir", str(data.data_dir)]
        return {}
    extra["data"] = data.data_dir
    if in_file:
        flags += ["--data-dir", f"{EXTRA}/data"]  # comes before what the --config file says
    return {"PODIUM_DATA_DIR": f"{EXTRA}/data"}  # no flag: the results would name a folder that is not there


def _travels(flag: str, path: Path) -> bool:
    """Whether the path is small enough; says so if not. UserError where it is not there."""
    if not path.exists():
        raise UserError(f"{flag} {path}: is not there")
    size = size_of(path)
    if size > MAX_DATA_BYTES:
        limit = f"the {MAX_DATA_BYTES // MIB} MiB that travel"
        print(f"note: {flag} {path} has {size / MIB:.0f} MiB, over {limit}: the head must have it there")
    return size <= MAX_DATA_BYTES


def _without(line: Sequence[str], flags: Sequence[str]) -> list[str]:
    """The line without these flags, each of which takes one value."""
    kept, skip = [], False
    for word in line:
        if not skip and flag_of(word) not in flags:
            kept.append(word)
        skip = not skip and flag_of(word) in flags and "=" not in word
    return kept
