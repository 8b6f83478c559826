"""Files of a run that are damaged or gone: a resume goes on with what any of them still has, or says why not."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pandas as pd
import pytest

from hpo.run import main
from hpo.store.journal import read_journal

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
TRIALS = 5
LINE = (
    f"--model mlp_small --trials {TRIALS} --epochs 9 --dataset digits --final-seeds 2 --concurrency 1 "
    "--scheduler none --name a"
)


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose driver was killed within a trial."""

    def is_within(run: Path) -> bool:
        done = {row["trial_id"] for row in read_journal(run / "trials.jsonl")}
        return len(done) >= 3 and any(f.name.partition("@")[0] not in done for f in (run / "checkpoints").glob("*.pt"))

    return _killed(tmp_path_factory.mktemp("searching"), is_within)


@pytest.fixture(scope="module")
def in_finals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose driver was killed when one of two finals was trained."""
    return _killed(tmp_path_factory.mktemp("finals"), lambda run: any((run / ".finals").glob("*.pt")))


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> Path:
    folder = tmp_path_factory.mktemp("complete")
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*LINE.split(), "--results-dir", str(folder)]) == 0
    return folder / "a"


def _killed(folder: Path, when: Callable[[Path], bool]) -> Path:
    """A run that got SIGKILL as soon as `when` held of its folder."""
    for _ in range(5):
        shutil.rmtree(folder / "a", ignore_errors=True)
        command = [sys.executable, str(ROOT / "hpo" / "run.py"), *LINE.split(), "--results-dir", str(folder)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
        until = time.monotonic() + 120
        while not (hit := when(folder / "a")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if hit and when(folder / "a"):
            return folder / "a"
    raise AssertionError("the moment never came")


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _flip(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _without_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _garbage_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lines[rng.randrange(len(lines))] = b'{"a": [1, \xff\n'
    return b"".join(lines)


def _zeros(content: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(content)), rng.randrange(1, 5000)
    return content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]


Damage = Callable[[bytes, random.Random], bytes | None]
DAMAGES: dict[str, Damage] = {
    "cut": _cut,
    "emptied": lambda content, rng: b"",
    "gone": lambda content, rng: None,
    "bit": _flip,
    "line": _without_line,
    "garbage": _garbage_line,
    "list": lambda content, rng: b"[1, 2]\n",
    "object": lambda content, rng: b'{"trial_id": 3}\n',
    "zeros": _zeros,
    "twice": lambda content, rng: content + content,
}
FILES = {
    "searching": ("trials.jsonl", "study.json", "study.db", "study.db-wal", "trials.csv", "checkpoints/*.pt"),
    "in_finals": ("trials.jsonl", "study.db", "finals.jsonl", ".finals/*.pt", "checkpoints/*.pt"),
    "complete": (
        *("trials.jsonl", "study.json", "study.db", "finals.jsonl", "best.pt", "best.json"),
        *("trials.csv", "curves.csv", "leaderboard.csv", "report.html"),
    ),
}
CASES = [(kind, file, damage) for kind, files in FILES.items() for file in files for damage in DAMAGES]


def _marked() -> Iterator[object]:
    """Every tenth runs in CI, with another damage for each file; all of them by hand."""
    for number, case in enumerate(CASES):
        usual = number % 10 == (number // 10) * 3 % 10
        yield pytest.param(*case, id="-".join(case), marks=() if usual else pytest.mark.long)


@pytest.mark.parametrize(("kind", "file", "damage"), list(_marked()))
def test_a_damaged_file_costs_nothing_that_another_one_has(
    kind: str, file: str, damage: str, tmp_path: Path, request: pytest.FixtureRequest, ray_local: None
) -> None:
    run = tmp_path / "a"
    shutil.copytree(request.getfixturevalue(kind), run)
    before = read_journal(run / "trials.jsonl")
    rng = random.Random(f"{kind} {file} {damage}")
    path = rng.choice(sorted(run.glob(file)))
    content = DAMAGES[damage](path.read_bytes(), rng)
    path.unlink() if content is None else path.write_bytes(content)

    code, out, err = resumed(tmp_path)

    assert "Traceback" not in err and "Podium's own" not in err
    if code == 2:
        assert file == "study.json" and err.startswith("hpo: --resume a: ") and err.count("\n") == 1, err
        return
    assert (code, err) == (0, ""), out
    check_whole(run, before)
    assert resumed(tmp_path)[0] == 0


def resumed(results: Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["--resume", "a", "--results-dir", str(results)])
    return code, out.getvalue(), err.getvalue()


def check_whole(run: Path, before: list[dict]) -> None:  # type: ignore[type-arg]
    """Every trial that was finished is there as it was, no trial is lost or twice, and nothing lies about."""
    frame = pd.read_csv(run / "trials.csv").set_index("trial_id")
    assert sorted(frame.index) == [f"mlp_small-{number:04d}" for number in range(TRIALS)]
    for row in before:
        assert frame.loc[row["trial_id"], "val_accuracy"] == pytest.approx(row["val_accuracy"])
        assert frame.loc[row["trial_id"], "lr"] == pytest.approx(row["config"]["lr"])
        assert frame.loc[row["trial_id"], "batch_size"] == row["config"]["batch_size"]
    study = optuna.load_study(study_name="mlp_small", storage=f"sqlite:///{run}/study.db")
    assert len(study.trials) == TRIALS and {t.state.name for t in study.trials} <= {"COMPLETE", "PRUNED"}
    assert {row["trial_id"] for row in read_journal(run / "trials.jsonl")} == set(frame.index)
    assert json.loads((run / "study.json").read_text())["state"] == "complete"
    assert len(pd.read_csv(run / "leaderboard.csv")["test_accuracy_mean"].dropna()) == 1
    assert (run / "report.html").stat().st_size > 100_000
    assert not (run / "checkpoints").exists() and not (run / ".finals").exists()
