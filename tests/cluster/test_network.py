"""A node that is cut off the network for a while: two network namespaces, a cable between them, a Ray node in each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from cluster.auth import ensure_token
from hpo.store.journal import read_journal
from tests.helpers.runs import wait_for

ROOT = Path(__file__).parents[2]
PORT, ADDRESSES = 6379, ("10.213.77.1", "10.213.77.2")
# The head looks at a node this often, and gives it up after so many looks that nobody answered.
PATIENT = {"period_ms": 1000, "timeout_ms": 2000, "failure_threshold": 60, "initial_delay_ms": 0}
HASTY = {"period_ms": 500, "timeout_ms": 1000, "failure_threshold": 3, "initial_delay_ms": 0}


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True)


def must(*words: str) -> str:
    done = ip(*words)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def namespaces_work() -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"podiumtry{os.getpid()}"
    works = ip("netns", "add", name).returncode == 0 and ip("netns", "exec", name, "true").returncode == 0
    ip("netns", "del", name)
    return works


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not namespaces_work(), reason="needs root and network namespaces (ip netns), which Linux has"),
]


class TwoMachines:
    """The head and the drivers on the first, a second node on the other; what they run in, and the cable."""

    def __init__(self, home: Path, health: dict[str, int]) -> None:
        self.names = [f"podiumtest{os.getpid()}-{number}" for number in (0, 1)]
        self.folder = Path("/tmp") / f"podium-n{os.getpid()}"  # short, for Ray's sockets
        left_out = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")
        self.environment = {**{k: v for k, v in os.environ.items() if k not in left_out}, "HOME": str(home)}
        self.environment |= {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token", "RAY_memory_monitor_refresh_ms": "0"}
        self.health = {f"RAY_health_check_{name}": str(value) for name, value in health.items()}

    def up(self) -> None:
        for name in self.names:
            must("netns", "add", name)
            must("-n", name, "link", "set", "lo", "up")
        must(
            "-n", self.names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self.names[1]
        )
        for name, address in zip(self.names, ADDRESSES, strict=True):
            must("-n", name, "addr", "add", f"{address}/30", "dev", "cable")
            must("-n", name, "link", "set", "cable", "up")
        self.folder.mkdir(mode=0o700)
        self._start_node(0, ["--head", f"--port={PORT}", "--include-dashboard=false"])
        self._start_node(1, [f"--address={ADDRESSES[0]}:{PORT}"])

    def down(self) -> None:
        self._signal(signal.SIGTERM)
        until = time.monotonic() + 10
        while any(self._pids(name) for name in self.names) and time.monotonic() < until:
            time.sleep(0.1)
        self._signal(signal.SIGKILL)
        for name in self.names:
            ip("netns", "del", name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def cut(self) -> None:
        must("-n", self.names[1], "link", "set", "cable", "down")

    def mend(self) -> None:
        must("-n", self.names[1], "link", "set", "cable", "up")

    def start(self, number: int, command: list[str], **options: Any) -> subprocess.Popen[str]:
        line = ["ip", "netns", "exec", self.names[number], sys.executable, *command]
        return subprocess.Popen(line, text=True, stdin=subprocess.DEVNULL, start_new_session=True, **options)

    def driver(self, tmp_path: Path, line: str) -> subprocess.Popen[str]:
        command = [str(ROOT / "hpo" / "run.py"), "--address", f"{ADDRESSES[0]}:{PORT}", *line.split()]
        command += ["--results-dir", str(tmp_path)]
        pipe = subprocess.PIPE
        return self.start(0, command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe)

    def _start_node(self, number: int, arguments: list[str]) -> None:
        command = ["-m", "ray.scripts.scripts", "start", *arguments, f"--node-ip-address={ADDRESSES[number]}"]
        command += [f"--temp-dir={self.folder}/{number}", "--num-cpus=1", "--object-store-memory=150000000"]
        command += ["--disable-usage-stats", "--block"]
        log = self.folder / f"node-{number}.log"
        with log.open("w") as file:
            process = self.start(number, command, env=self.environment | self.health, stdout=file, stderr=file)
        until = time.monotonic() + 60
        while "--block" not in log.read_text():  # the first word of the last thing it says
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    def _signal(self, number: signal.Signals) -> None:
        for pid in [pid for name in self.names for pid in self._pids(name)]:
            with suppress(ProcessLookupError):  # it ended since the list was made
                os.kill(pid, number)

    def _pids(self, name: str) -> list[int]:
        return [int(pid) for pid in ip("netns", "pids", name).stdout.split()]


@contextmanager
def two_machines(home: Path, health: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoMachines]:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    ensure_token()
    machines = TwoMachines(home, health)
    try:
        machines.up()
        yield machines
    finally:
        machines.down()


RUN = "--model lenet5 --trials 4 --finalists 0 --epochs 27 --scheduler none --dataset digits --name a --quiet"


def at_work(folder: Path) -> set[str]:
    """Trials that have left a checkpoint and are not finished: they are on a worker."""
    finished = {row["trial_id"] for row in read_journal(folder / "trials.jsonl")}
    return {path.name.partition("@")[0] for path in (folder / "checkpoints").glob("lenet5*@*.pt")} - finished


def cut_off(machines: TwoMachines, tmp_path: Path, seconds: float) -> tuple[int, str]:
    """A run whose second node is cut off for a while, when trials are at work on both."""
    process = machines.driver(tmp_path, RUN)
    wait_for(lambda: len(at_work(tmp_path / "a")) >= 2, process, 180)
    machines.cut()
    time.sleep(seconds)
    machines.mend()
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def check_whole(folder: Path) -> pd.DataFrame:
    frame = pd.read_csv(folder / "trials.csv")
    assert sorted(frame["trial_id"]) == [f"lenet5-{n:04d}" for n in range(4)] and set(frame["state"]) == {"completed"}
    curves = pd.read_csv(folder / "curves.csv")
    assert (curves.groupby("trial_id")["epoch"].count() == 27).all()
    study = optuna.load_study(study_name="lenet5", storage=f"sqlite:///{folder}/study.db")
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"} and len(study.trials) == 4
    return frame


@pytest.mark.long
def test_a_node_that_is_back_soon_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with two_machines(tmp_path, PATIENT, monkeypatch) as machines:
        code, err = cut_off(machines, tmp_path, 6)
    assert (code, err) == (0, ""), err
    check_whole(tmp_path / "a")


def test_a_node_that_stays_away_hands_its_trials_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with two_machines(tmp_path, HASTY, monkeypatch) as machines:
        code, err = cut_off(machines, tmp_path, 15)
    assert (code, err) == (0, ""), err
    frame = check_whole(tmp_path / "a")
    assert frame["retries"].max() >= 1  # from its last checkpoint: the curve is whole, each epoch in it once
