from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from models import MODELS
from tests.benchmarks.peers.torch_loop import plain_model
from tests.benchmarks.search import EPOCHS, RayOptuna, Surrogate, podium_study, study
from tests.benchmarks.table import draw, markdown, merge, row

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"


def test_the_readme_shows_what_was_measured() -> None:
    table = markdown(pd.read_csv(REFERENCE / "benchmarks.csv"))
    assert (REFERENCE / "benchmarks.md").read_text() == table
    assert table in (ROOT / "trainers" / "README.md").read_text()


def test_a_section_replaces_its_own_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.csv"
    merge(path, [row("job", "a", "podium", "seconds", [3.0, 1.0, 2.0]), row("overhead", "b", "podium", "s", [1.0])])
    frame = merge(path, [row("job", "c", "podium", "seconds", [5.0])])
    assert list(frame["benchmark"]) == ["overhead", "job"]
    assert list(frame.iloc[1][["case", "median", "lowest", "highest", "repetitions"]]) == ["c", 5.0, 5.0, 5.0, 1]


def test_the_tables_and_the_plot(tmp_path: Path) -> None:
    rows = [
        row("job", "16 trials", "podium", "seconds", [60.0, 61.0, 70.0]),
        row("job", "16 trials", "plain Ray Tune", "seconds", [240.0, 250.0, 270.0]),
        row("job", "16 trials", "podium", "times faster than plain Ray Tune", [4.0, 4.1, 3.9]),
    ]
    frame = merge(tmp_path / "b.csv", rows)
    table = markdown(frame)
    assert "| 16 trials | 61 (60-70) | 250 (240-270) |" in table
    assert "times faster than plain Ray Tune: 4 (3.9-4.1)." in table
    draw(frame, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"vgg16"}))
def test_the_plain_networks_are_the_same_function(name: str) -> None:
    from models import build_model

    torch.manual_seed(0)
    ours = build_model(name, (1, 28, 28), 10).eval()
    torch.manual_seed(0)
    theirs = plain_model(name).eval()
    images = torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(ours(images), theirs(images))


def test_the_surrogate_gives_back_what_is_in_its_table() -> None:
    surrogate = Surrogate()
    for number in (0, 150, 399):
        entry = surrogate.table.iloc[number]
        assert surrogate.curve(dict(entry))[-1] == pytest.approx(entry[f"epoch_{EPOCHS}"], abs=0.05)
    assert surrogate.table.filter(like="epoch_").to_numpy().min() > 0


def test_both_searchers_run_the_same_studies() -> None:
    surrogate = Surrogate()
    for asha in (False, True):
        for best, epochs in (podium_study("tpe", 0, surrogate, asha), study(RayOptuna(0), surrogate, asha)):
            assert 0.8 < best < 1 and (epochs < 250 if asha else epochs == 450)


@pytest.mark.long
def test_the_command_runs(mnist_dir: Path) -> None:
    command = [sys.executable, "tests/benchmarks/run.py", "--quick", "--only", "precision", "search", "growth"]
    environment = {**os.environ, "PODIUM_DATA_DIR": str(mnist_dir)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| on the same seeds, validation accuracy |" in done.stdout
    assert "| the best of a tabulated search space, best validation accuracy |" in done.stdout
    assert "| the driver alone, seconds per trial |" in done.stdout


@pytest.mark.slow
def test_the_engines_command_runs_without_ray_and_optuna(mnist_dir: Path, tmp_path: Path) -> None:
    for name in ("ray", "optuna", "pandas"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not on this machine')")
    command = [sys.executable, "tests/benchmarks/gpu.py", "--device", "cpu", "--quick", "--only", "engine", "forms"]
    environment = {**os.environ, "PODIUM_DATA_DIR": str(mnist_dir), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    precision = "bf16" if torch.cuda.is_available() else "float32"
    assert f"podium, 2 lanes fused, {precision}" in done.stdout
    assert f"gradient of the weights, grouped, {precision}" in done.stdout
    if not torch.cuda.is_available():
        done = subprocess.run(command[:2], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.startswith("gpu.py: --device cuda: there is none")


@pytest.mark.long
def test_every_case_of_the_engine_runs(mnist_dir: Path) -> None:
    command = [sys.executable, "tests/benchmarks/gpu.py", "--device", "cpu", "--quick"]
    environment = {**os.environ, "PODIUM_DATA_DIR": str(mnist_dir)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in ("plain loop, 8 processes", "2 streams", "vgg16", "one trial of cnn until", "of lenet5, 2 seeds"):
        assert words in done.stdout
