"""Several drivers on one study, in a real Postgres that is stopped and started under them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pandas as pd
import pytest

from cluster.host.ports import answers, free_port
from hpo.search.study_sync import DRIVER
from hpo.store.database.study_db import open_storage
from hpo.store.journal import read_journal
from tests.helpers.runs import wait_for

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
RUN = (
    "--model lenet5 --epochs 3 --dataset digits --concurrency 1 --scheduler none --finalists 0 --quiet --study together"
)


def program(name: str) -> str | None:
    places = [str(p) for p in Path("/usr/lib/postgresql").glob("*/bin")]
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *places]))


class Postgres:
    """A server on the loopback that belongs to the test. It refuses to run as root, so root makes it another's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.user = ("postgres" if Path("/var/lib/postgresql").exists() else "nobody") if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self.command("initdb", "-D", str(folder / "db"), "-U", "me", "--auth=trust", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://me:geheim@127.0.0.1:{self.port}/postgres"

    def command(self, name: str, *words: str) -> None:
        tool = program(name)
        assert tool
        subprocess.run([tool, *words], user=self.user, cwd=self.folder, check=True, capture_output=True)

    def start(self) -> None:
        tool = program("postgres")
        assert tool
        line = [tool, "-D", str(self.folder / "db"), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder)]
        self.process = subprocess.Popen(
            line, user=self.user, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while not answers(f"127.0.0.1:{self.port}"):
            assert time.monotonic() < until
            time.sleep(0.1)
        time.sleep(0.5)

    def stop(self) -> None:
        self.command("pg_ctl", "stop", "-D", str(self.folder / "db"), "-m", "immediate", "-w")
        self.process.wait(30)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    if not program("postgres") or not program("initdb"):
        pytest.skip("needs Postgres's programs")
    pytest.importorskip("psycopg", reason="needs psycopg")
    folder = Path("/tmp") / f"podium-pg-{os.getpid()}"
    folder.mkdir()
    server = Postgres(folder)
    yield server
    if server.process.poll() is None:
        server.stop()
    shutil.rmtree(folder)


def start(tmp_path: Path, line: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "hpo" / "run.py"), *line.split(), "--results-dir", str(tmp_path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def rows(tmp_path: Path, name: str) -> list[str]:
    return [row["trial_id"] for row in read_journal(tmp_path / name / "trials.jsonl")]


def trials(server: Postgres) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="together/lenet5", storage=open_storage(server.url)).trials


def states(server: Postgres) -> list[str]:
    return [trial.state.name for trial in trials(server)]


def test_two_drivers_share_a_study_and_one_of_them_is_killed(postgres: Postgres, tmp_path: Path) -> None:
    line = f"{RUN} --storage {postgres.url} --trials 6"
    one, two = (start(tmp_path, f"{line} --name {name}") for name in ("one", "two"))
    wait_for(lambda: len(rows(tmp_path, "one")) >= 2, one)
    one.kill()
    one.communicate()
    code = two.wait(180)
    assert code == 0, two.communicate()
    again = start(tmp_path, f"--resume one --storage {postgres.url} --quiet")
    _out, err = again.communicate(timeout=180)
    assert (again.returncode, err) == (0, ""), err
    other = start(tmp_path, f"{line} --name three --range lr=1e-3:1e-2".replace("--epochs 3", "--epochs 4"))
    _out, err = other.communicate(timeout=60)
    assert other.returncode == 2 and "--study together: lenet5 was begun there with other space, epochs; give" in err
    assert not (tmp_path / "three").exists()
    mine, yours = rows(tmp_path, "one"), rows(tmp_path, "two")
    assert len(mine) == len(yours) == 6 and not set(mine) & set(yours)
    assert set(states(postgres)) <= {"COMPLETE", "PRUNED"} and len(states(postgres)) == 12
    tables = [pd.read_csv(tmp_path / name / "trials.csv") for name in ("one", "two")]
    searched = ["lr", "dropout", "batch_size", "activation", "augment", "label_smoothing"]
    assert not pd.concat(tables)[searched].duplicated().any()  # no configuration twice
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"geheim" not in file.read_bytes(), file


@pytest.mark.long
def test_a_server_that_comes_back_is_waited_for_and_one_that_does_not_ends_the_run(
    postgres: Postgres, tmp_path: Path
) -> None:
    process = start(tmp_path, f"{RUN} --storage {postgres.url} --name one --trials 9")
    wait_for(lambda: len(rows(tmp_path, "one")) >= 2, process)
    postgres.stop()
    time.sleep(6)
    postgres.start()
    wait_for(lambda: len(rows(tmp_path, "one")) >= 4, process)
    postgres.stop()
    _out, err = process.communicate(timeout=180)
    assert (process.returncode, err.count("\n")) == (1, 1), err
    assert "when that is mended, go on with: python hpo/run.py --resume one" in err and "geheim" not in err
    again = start(tmp_path, f"--resume one --storage {postgres.url} --quiet")
    _, err = again.communicate(timeout=60)
    assert again.returncode == 2 and err.startswith("hpo: --storage postgresql://me:***@127.0.0.1"), err
    postgres.start()
    again = start(tmp_path, f"--resume one --storage {postgres.url} --quiet")
    _, err = again.communicate(timeout=180)
    assert (again.returncode, err) == (0, ""), err
    assert len(set(rows(tmp_path, "one"))) == 9 == len(rows(tmp_path, "one"))
    # Where the server died within an `ask`, a trial without a driver is left, until it is old enough to be dropped.
    assert not [t for t in trials(postgres) if t.state.name in ("RUNNING", "WAITING") and DRIVER in t.user_attrs]
