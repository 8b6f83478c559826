"""A local cluster's folder that is not ours alone: nothing in it is believed, ended or removed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.host import place
from cluster.host.processes import born
from cluster.local import _state, main

STATE: dict[str, Any] = {"port": 1, "dashboard_port": 2, "nodes": []}


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the user's that no cluster has started."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def folder(tmp_path: Path, victim: subprocess.Popen[bytes]) -> Path:
    """As `up` leaves it, but that it names the victim."""
    made = tmp_path / "cluster"
    place.make(made, {**STATE, "nodes": [{"pid": victim.pid, "born": born(victim.pid)}]})
    return made


def elsewhere(folder: Path) -> None:
    """The name is a link to a folder of somebody's choice."""
    folder.rename(folder.with_name("there"))
    folder.symlink_to(folder.with_name("there"))


def state_elsewhere(folder: Path) -> None:
    (folder / "state.json").rename(folder.parent / "planted.json")
    (folder / "state.json").symlink_to(folder.parent / "planted.json")


def a_file(folder: Path) -> None:
    folder.rename(folder.with_name("there"))
    folder.write_text("")


def a_pipe(folder: Path) -> None:
    (folder / "state.json").unlink()
    os.mkfifo(folder / "state.json", 0o600)


def other_things(folder: Path) -> None:
    (folder / "state.json").rename(folder / "thesis.txt")


PLANTED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "link": (elsewhere, "is a link"),
    "file": (a_file, "is no folder"),
    "group": (lambda folder: folder.chmod(0o770), "others may write to"),
    "anyone": (lambda folder: folder.chmod(0o707), "others may write to"),
    "state-anyone": (lambda folder: (folder / "state.json").chmod(0o606), "has a state.json that others may write to"),
    "state-link": (state_elsewhere, "has a state.json that cannot be read"),
    "state-pipe": (a_pipe, "has a state.json that is damaged (ValueError: no plain file)"),
    "other": (other_things, "holds other things than a cluster's (thesis.txt)"),
}


@pytest.mark.parametrize("command", ["down", "status", "up 1"])
@pytest.mark.parametrize("kind", PLANTED)
def test_what_others_may_have_planted_is_refused(
    kind: str, command: str, folder: Path, victim: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    plant, words = PLANTED[kind]
    plant(folder)
    before = sorted(folder.parent.rglob("*"))
    assert main(["--dir", str(folder), *command.split()]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"cluster: --dir {folder}: {words}") and err.count("\n") == 1 and out == ""
    assert victim.poll() is None and sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("path", ["folder", "state.json"])
def test_another_users_is_refused(
    path: str,
    folder: Path,
    victim: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever may, gives it away; elsewhere the kernel's answer is changed."""
    target = folder if path == "folder" else folder / path
    if os.getuid() == 0:
        os.chown(target, 12345, -1)
    elif path == "folder":
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    else:
        pytest.skip("only root can give one of two away")
    assert main(["--dir", str(folder), "down"]) == 2
    what = "" if path == "folder" else "has a state.json that "
    assert capsys.readouterr().err.startswith(f"cluster: --dir {folder}: {what}is another user's; nothing was ended")
    assert victim.poll() is None and (folder / "state.json").exists()


@pytest.mark.parametrize(
    "state",
    [
        [],
        {"nodes": []},
        {**STATE, "nodes": [3]},
        {**STATE, "nodes": [{"pid": -1, "born": 1}]},
        {**STATE, "nodes": [{"pid": 0, "born": 1}]},
        {**STATE, "nodes": [{"pid": True, "born": 1}]},
        {**STATE, "nodes": [{"pid": "/../self", "born": 1}]},
        {**STATE, "nodes": [{"pid": 99, "born": 1.5}]},
        {**STATE, "port": "127.0.0.1"},
    ],
)
def test_a_damaged_state_ends_nothing(state: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cluster"
    place.make(folder, state)
    for command in ("down", "status", "up 1"):
        assert main(["--dir", str(folder), *command.split()]) == 2
        err = capsys.readouterr().err
        assert f"--dir {folder}: has a state.json that is damaged (" in err and err.count("\n") == 1
    assert json.loads((folder / "state.json").read_text()) == state


def test_our_own_is_ended_and_removed(folder: Path, victim: subprocess.Popen[bytes]) -> None:
    (folder / "ray-0").mkdir()
    (folder / "link").symlink_to(folder.parent)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "state.json").stat().st_mode) == 0o600
    threading.Thread(target=victim.wait, daemon=True).start()  # its parent, as it is not of a cluster's nodes
    assert main(["--dir", str(folder), "down"]) == 0
    assert victim.wait(timeout=20) < 0 and not folder.exists() and folder.parent.exists()


def test_a_folder_is_never_made_over_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"--dir .*a: has been put there meanwhile; nothing was ended"):
        place.make(tmp_path / "a", _state((1, 2), []))
    assert list((tmp_path / "a").iterdir()) == []


def test_an_empty_folder_is_none_of_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", str(tmp_path), "status"]) == 1 and capsys.readouterr().out == "there is no cluster\n"
