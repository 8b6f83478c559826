"""Texts of users and of files are shown as they are: no markup, nothing that steers a terminal."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console, RenderableType

from hpo import StudySpec, run_study
from hpo.__main__ import main
from hpo.cli.commands.networks.predict import _line
from hpo.networks.prediction import Prediction
from hpo.system.text import printable
from hpo.trials.finalists import Finalist
from hpo.trials.ranking import rank
from hpo.trials.records import TrialState
from hpo.views.estimate import Work
from hpo.views.evaluation import Evaluation, show_evaluation
from hpo.views.progress import LineProgress, LiveProgress
from hpo.views.tables import best_table, finals_table
from tests.helpers.pages import a_run, trial
from tests.helpers.records import record
from tests.helpers.reports import request
from trainers.criteria.metrics import classification_report

ESCAPE = "\x1b[2J"  # clears a terminal
MARKED = ["[/data]", "[conv]", "[bold red]x", ":smile:", "end\\"]


def rendered(what: RenderableType) -> str:
    text = StringIO()
    Console(file=text, width=300, force_terminal=True, color_system=None).print(what)
    return text.getvalue()


@pytest.mark.parametrize("text", [*MARKED, ESCAPE])
def test_hyperparameters_and_names_in_tables(text: str) -> None:
    one = record(1, trial_id=f"{text}/cnn-0001", val_accuracy=0.9, config={"kind": text, "lr": 0.1})
    shown = text.replace("\x1b", "\\x1b")
    (line,) = rendered(best_table(rank([one]), Console(width=300))).splitlines()[1:]
    assert line.count(shown) == 2 and "\x1b" not in line
    (line,) = rendered(finals_table([Finalist(one, (0,), np.ones((1, 9), dtype=bool))])).splitlines()[1:]
    assert f"{shown}/cnn-0001" in line and "\x1b" not in line


def test_what_is_shown_while_trials_run(capsys: pytest.CaptureFixture[str]) -> None:
    failed = record(1, trial_id=f"{ESCAPE}-0001", state=TrialState.FAILED, error=f"RuntimeError: [/x] {ESCAPE}")
    LineProgress(Work(4, 3)).finished(failed)
    out = capsys.readouterr().out
    assert r"\x1b[2J-0001 failed: RuntimeError: [/x] \x1b[2J" in out and "\x1b" not in out
    live = LiveProgress(Work(4, 3), [record(0, trial_id=ESCAPE, val_accuracy=0.5)], Console(file=StringIO()))
    live.started(request(f"{ESCAPE}[/x]", number=1))
    text = rendered(live._render())
    assert r"(\x1b[2J)" in text and r"\x1b[2J[/x]  epoch 0/3" in text and "\x1b[2J" not in text


def test_classes_of_images(capsys: pytest.CaptureFixture[str]) -> None:
    classes = ["[/a]", f"b{ESCAPE}", "c\\"]
    labels = torch.tensor([0, 1, 2])
    report = classification_report(labels, labels, tuple(classes))
    nothing = torch.zeros(0, 1, 2, 2), []
    show_evaluation(Evaluation(
        model="cnn", dataset=ESCAPE, split="test", loss=0.1, report=report, metrics={}, notes=(f"on {ESCAPE}",),
        wrong=nothing,
    ))  # fmt: skip
    out = capsys.readouterr().out
    assert out.count("[/a]") == 3 and out.count(r"b\x1b[2J") == 3 and out.count("c\\") == 3
    assert "\x1b" not in out and r"note: on \x1b[2J" in out
    line = _line(classes, Prediction(Path(f"x{ESCAPE}.png"), [0.1, 0.8, 0.1], inverted=False))
    assert printable(line).startswith(r"x\x1b[2J.png: b\x1b[2J  0.800")


def test_runs_that_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"[bold]{ESCAPE}", "[data]"]
    for name in names:
        a_run(tmp_path / name, [trial(0, config={"kind": f"[/x]{len(name)}", "loss": "[/y]"})])
    assert main(["compare", *(str(tmp_path / name) for name in names)]) == 0
    out = capsys.readouterr().out
    assert (
        r"[bold]\x1b[2J/cnn-0000" in out
        and "[data]/cnn-0000" in out
        and out.count("[/x]") == 2
        and out.count("[/y]") == 1
    )
    assert "\x1b" not in out


NET = """
from torch import nn

class Scale(nn.Flatten):
    def extra_repr(self):
        return "[/x] [conv]" + chr(27)

def net(shape, classes, *, kind="[/data]"):
    return nn.Sequential(Scale(), nn.Linear(784, classes))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "markednets.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def test_layers_of_ones_own(own: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "markednets:net"]) == 0
    assert r"Scale([/x] [conv]\x1b)" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run --dry-run", "train --lr 0.1 --epochs 1"])
def test_mistakes_and_plans(command: str, own: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*command.split(), "--model", "markednets:net", "--dataset", "digits", "--results-dir", str(tmp_path)]
    assert main([*words, "--set", f"kind=[/x]{ESCAPE}"]) == 0
    out = capsys.readouterr().out
    assert "[/x]" in out and r"\x1b" in out and "\x1b" not in out
    assert main([*words, "--set", f"{ESCAPE}=3"]) == 2
    err = capsys.readouterr().err
    assert r"--set \x1b[2J=3: unknown" in err and "\x1b" not in err and err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local", "own")
def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = {"dataset": "digits", "train_size": 200, "epochs": 1, "trials": 1, "set": "kind=[/data]"}
    result = run_study(StudySpec.of(model="markednets:net", results_dir=tmp_path / "r", **settings))
    assert result.exit_code == 0 and "[/data]" in capsys.readouterr().out
    assert json.loads((result.folder / "best.json").read_text())["trial"]["config"]["kind"] == "[/data]"
