"""The folder of a run: made whole, locked, and never overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hpo.store import run_folder


def test_a_folder_is_made_whole_locked_and_never_overwritten(tmp_path: Path) -> None:
    folder = run_folder.create(tmp_path / "results", "a", {"spec": {}})
    assert [p.name for p in (tmp_path / "results").iterdir()] == ["a"]
    assert pd.read_csv(folder.trials_csv).empty and folder.read_study() == {"spec": {}, "sessions": []}
    with pytest.raises(ValueError, match=r"--name a: .*a already exists; resume it with --resume a"):
        run_folder.create(tmp_path / "results", "a", {})
    with pytest.raises(ValueError, match="--resume a: another driver is using"):
        run_folder.reopen(tmp_path / "results", "a")
    folder.unlock()
    run_folder.reopen(tmp_path / "results", "a").unlock()


def test_a_name_that_podium_chooses_has_no_colon() -> None:
    assert run_folder.stem(["torchvision:resnet18"]).startswith("torchvision-resnet18-2")
    assert run_folder.stem(["nets/my.py:Net", "cnn"]).startswith("my.py-Net+1-2")


def test_a_sigkill_frees_the_lock(tmp_path: Path) -> None:
    run_folder.create(tmp_path, "a", {}).unlock()
    code = (
        f"from hpo.store import run_folder; from pathlib import Path; run_folder.reopen(Path({str(tmp_path)!r}), 'a')"
    )
    code += "; print(1, flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout and other.stdout.readline()
    with pytest.raises(ValueError, match="another driver"):
        run_folder.reopen(tmp_path, "a")
    other.kill()
    other.communicate()
    run_folder.reopen(tmp_path, "a").unlock()


def test_a_results_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--results-dir .*file/results: cannot be written \(Not a directory\)"):
        run_folder.create(tmp_path / "file" / "results", "a", {})


def test_names_made_up_are_free(tmp_path: Path) -> None:
    first, second = (run_folder.create(tmp_path, None, {}, ["cnn"]) for _ in range(2))
    assert first.path != second.path and first.path.name.startswith("cnn-")
    assert run_folder.create(tmp_path, None, {}, ["cnn", "mlp"]).path.name.startswith("cnn+1-")
