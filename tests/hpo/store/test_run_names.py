"""results/NAME where several processes want one at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime as real_datetime
from pathlib import Path

import pytest

from hpo.store import run_folder
from hpo.system.files import write_json

ROOT = Path(__file__).parents[3]
AT_ONCE = 12
PROCESSES = 6  # each of them imports all of Podium first


def at_one_moment(code: str, count: int) -> list[tuple[int, str]]:
    """What `count` processes with this code come to, (exit code, output), which all begin when all are ready."""
    start = f"{code}\nprint('ready', flush=True)\ninput()\nprint(go(), flush=True)\n"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", start],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    time.sleep(1 - time.time() % 1 + 0.01)  # a second begins, which all of them are to name
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


RUN = """
from dataclasses import replace
from pathlib import Path
from hpo.session.preflight.planning import preflight
from hpo.session.session import open_session
from hpo.spec.study import StudySpec
plan = preflight(StudySpec.of(model="mlp_small", dataset="digits", results_dir={place!r}, name={name!r}))
def go():
    try:
        with open_session(plan, None) as session:
            return session.folder.path.name
    except ValueError as error:
        return f"refused: {{error}}"
"""
TRAIN = """
from hpo.spec.commands.fit import FitSpec
from hpo.networks.fitting import _create, _plan
from hpo.spec.settings import DataSpec
from pathlib import Path
spec = FitSpec(model="mlp_small", data=DataSpec(dataset="digits"), results_dir=Path({place!r}), name={name!r})
plan = _plan(spec)
def go():
    try:
        folder = _create(spec, plan)
        return folder.path.name
    except ValueError as error:
        return f"refused: {{error}}"
"""


@pytest.mark.slow
@pytest.mark.parametrize(("code", "file"), [(RUN, "study.json"), (TRAIN, "train.json")])
def test_runs_that_start_at_one_moment_all_get_a_folder(code: str, file: str, tmp_path: Path) -> None:
    place = tmp_path / "results"
    ended = at_one_moment(code.format(place=str(place), name=None), PROCESSES)
    assert [status for status, _ in ended] == [0] * PROCESSES, ended
    names = {output.strip() for _, output in ended}
    assert len(names) == PROCESSES and names == {path.name for path in place.iterdir()}
    assert all((place / name / file).exists() for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "file"), [(RUN, "study.json"), (TRAIN, "train.json")])
def test_one_name_goes_to_one_of_them(code: str, file: str, tmp_path: Path) -> None:
    ended = at_one_moment(code.format(place=str(tmp_path), name="a"), 4)
    assert [status for status, _ in ended] == [0] * 4, ended
    lines = sorted(output.strip() for _, output in ended)
    assert lines[0] == "a" and all(
        line.startswith(f"refused: --name a: {tmp_path}/a already exists") for line in lines[1:]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a" / file).exists()


class _Still(real_datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: object = None) -> _Still:
        return cls(2026, 11, 21, 12, 0, 0)


def test_names_that_podium_chooses_never_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "datetime", _Still)
    together = threading.Barrier(AT_ONCE)
    made: list[Path] = []

    def fill(new: Path) -> None:
        together.wait(timeout=30)
        write_json(new / "x.json", {})

    def make() -> None:
        made.append(run_folder.make_whole(tmp_path, None, fill, ["cnn", "mlp"]))

    threads = [threading.Thread(target=make) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stem = "cnn+1-20261121-120000"
    assert {path.name for path in made} == {stem, *(f"{stem}-{number}" for number in range(2, AT_ONCE + 1))}
    assert sorted(tmp_path.iterdir()) == sorted(made) and all((path / "x.json").exists() for path in made)


def test_an_empty_folder_that_appears_meanwhile_is_not_taken_over(tmp_path: Path) -> None:
    """A rename alone would replace it: it may be another run's, which is about to fill it."""
    with pytest.raises(ValueError, match=r"--name a: .*a already exists; choose another name"):
        run_folder.make_whole(tmp_path, "a", lambda _: (tmp_path / "a").mkdir())
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and not list((tmp_path / "a").iterdir())


def test_a_link_to_nowhere_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"--name a: .*a already exists; choose another name"):
        run_folder.create(tmp_path, "a", {})
    assert os.listdir(tmp_path) == ["a"]


def names_of_jobs(lines: Sequence[str], count: int) -> set[str]:
    from hpo.cli.submission import make_job

    jobs = [make_job(list(lines)) for _ in range(count)]
    return {job.name for job in jobs if job}


def test_jobs_that_are_submitted_in_one_second_have_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "datetime", _Still)
    assert len(names_of_jobs(["--trials", "2"], AT_ONCE)) == AT_ONCE
