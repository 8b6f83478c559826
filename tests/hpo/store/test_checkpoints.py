"""The checkpoints of a trial: its two newest, and whether it ran out of time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpo.store.checkpoint_stores import CheckpointStorage, FolderStorage
from hpo.store.checkpoints import Checkpoints, is_due


def test_a_trial_keeps_its_two_newest(storage: CheckpointStorage) -> None:
    checkpoints = Checkpoints(storage)
    assert checkpoints.load("cnn-0001") == (None, "")
    for epoch in (1, 3, 9, 10):
        checkpoints.save("cnn-0001", epoch, {"epoch": epoch})
    checkpoints.save("cnn-00012", 27, {"epoch": 27})
    assert sorted(storage.names("cnn-0001@")) == ["cnn-0001@000009.pt", "cnn-0001@000010.pt"]
    assert checkpoints.load("cnn-0001") == ({"epoch": 10}, "")
    checkpoints.remove("cnn-0001")
    assert checkpoints.load("cnn-0001") == (None, "") and checkpoints.load("cnn-00012")[0] == {"epoch": 27}


def test_a_trial_that_pauses_keeps_its_newest_alone(storage: CheckpointStorage) -> None:
    checkpoints = Checkpoints(storage)
    checkpoints.save("cnn-0001", 1, {"epoch": 1})
    checkpoints.save("cnn-0001", 2, {"epoch": 2}, keep=1)
    assert storage.names("cnn-0001@") == ["cnn-0001@000002.pt"]
    checkpoints.save("cnn-0001", 3, {"epoch": 3})
    assert sorted(storage.names("cnn-0001@")) == ["cnn-0001@000002.pt", "cnn-0001@000003.pt"]


def test_that_a_trial_is_late_outlives_its_worker(storage: CheckpointStorage) -> None:
    checkpoints = Checkpoints(storage)
    assert not checkpoints.is_late("a", asked_at=1.0)
    checkpoints.mark_late("a", asked_at=1.0)
    assert checkpoints.is_late("a", asked_at=1.0) and not checkpoints.is_late("a", asked_at=7.0)
    assert checkpoints.load("a") == (None, "")
    checkpoints.remove("a")
    assert not checkpoints.is_late("a", asked_at=1.0)


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_newest_one_is_passed_over(tmp_path: Path, keep: int) -> None:
    checkpoints = Checkpoints(FolderStorage(tmp_path))
    for epoch in (1, 3):
        checkpoints.save("a", epoch, {"epoch": epoch, "w": torch.zeros(100)})
    newest = tmp_path / "a@000003.pt"
    newest.write_bytes(newest.read_bytes()[:keep])
    state, words = checkpoints.load("a")
    assert state is not None and state["epoch"] == 1
    assert words == f"{newest}: not a readable checkpoint (BadZipFile): skipped"


def test_a_folder_that_takes_nothing_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="File exists"):
        Checkpoints(FolderStorage(tmp_path / "file")).save("a", 1, {})
    assert not Checkpoints(FolderStorage(tmp_path / "file")).is_late("a", 1.0)


def test_the_newest_of_every_trial_can_be_listed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(FolderStorage(tmp_path / "c"))
    assert checkpoints.newest() == {}
    for trial_id, epoch in (("a-1", 1), ("a-1", 3), ("mine@home", 27)):
        checkpoints.save(trial_id, epoch, {})
    checkpoints.mark_late("a-2", 0.0)
    assert checkpoints.newest() == {"a-1": 3, "mine@home": 27}


def test_trials_that_continue_together_continue_from_one_epoch(tmp_path: Path) -> None:
    checkpoints = Checkpoints(FolderStorage(tmp_path))
    for trial_id, epochs in (("a", (1, 2)), ("b", (1,))):
        for epoch in epochs:
            checkpoints.save(trial_id, epoch, {"curve": [{}] * epoch})
    states, warnings = checkpoints.load_alike(["a", "b"])
    assert [len(state["curve"]) for state in states if state] == [1, 1] and warnings == ["", ""]
    checkpoints.save("a", 3, {"curve": [{}] * 3})  # of its two newest none is of epoch 1 now
    states, warnings = checkpoints.load_alike(["a", "b"])
    assert states == [None, None] and all("of another epoch" in warning for warning in warnings)
    assert checkpoints.load_alike(["new", "newer"]) == ([None, None], ["", ""])


def test_checkpoints_are_due_after_epochs_that_triple() -> None:
    assert [epoch for epoch in range(100) if is_due(epoch)] == [1, 3, 9, 27, 81]
