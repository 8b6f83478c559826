"""hpo train and the workers with a training loop of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.spec.search import SearchSpec
from hpo.spec.spaces.own_functions import training_loop
from hpo.spec.spaces.search_space import search_space
from hpo.spec.study import StudySpec
from hpo.system.errors import UserError
from hpo.worker.trainer_factory import make_trainer
from tests.examples.co_teaching import CoTeaching
from tests.helpers.commands import printed, refused
from tests.helpers.distributed import digits
from tests.helpers.workers import ask, settings
from trainers.own_trainer import OwnTrainer

LOOP = "tests/examples/co_teaching.py:CoTeaching"
WRONG = """
class NoSave:
    def __init__(self, make_model, data, config): ...
    def train_epoch(self): ...
    def load(self, state): ...

class Short(NoSave):
    def __init__(self, make_model): ...
    def save(self): ...
"""


def test_what_cannot_be_one_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    for name, words in {
        "wrong.py:NoSave": "has no method save; it needs train_epoch, save, load",
        "wrong.py:Short": "is made from (make_model, data, config); its constructor takes less",
        "wrong.py:Nothing": "cannot be imported (AttributeError: ",
        "wrong": "give your own class as MODULE:NAME or FILE.py:NAME",
    }.items():
        with pytest.raises(UserError) as error:
            search_space("cnn", SearchSpec(trainer=name))
        assert str(error.value).startswith(f"--trainer {name}: {words}")
    for given, flag in (({"fuse": 4}, "--fuse"), ({"workers_per_trial": 2}, "--workers-per-trial")):
        with pytest.raises(UserError, match=f"{flag}: is for Podium's own training; leave it out with --trainer"):
            StudySpec.of(trainer="wrong.py:Short", **given)


def test_its_arguments_are_hyperparameters() -> None:
    space = search_space("cnn", SearchSpec(trainer=LOOP, ranges=("trainer_forget=0:0.3",)))
    assert space.default["trainer_forget"] == 0.1 and not space.distributions["trainer_forget"].single()
    assert training_loop(LOOP).__name__ == "CoTeaching"
    assert SearchSpec(trainer=LOOP).own_functions == (("--trainer", (LOOP,)),)


def test_a_worker_trains_by_it(tmp_path: Path) -> None:
    params = ask(trainer_forget=0.25).params
    trainer = make_trainer(digits(), settings(tmp_path, trainer=LOOP, metric="macro_f1"), params, 1, None)
    assert isinstance(trainer, OwnTrainer) and trainer.loop.forget == 0.25  # type: ignore[attr-defined]
    assert type(trainer.loop).__name__ == CoTeaching.__name__ and trainer.step()[0].val_score is not None


def test_hpo_train_trains_by_it_and_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"--model lenet5 --dataset digits --train-size 300 --results-dir {tmp_path} --epochs 2".split()
    said = printed(capsys, "train", *line, "--trainer", LOOP, "--set", "trainer_forget=0.2", "--name", "t")
    assert "trainer_forget=0.2" in said
    assert json.loads((tmp_path / "t" / "best.json").read_text())["trainer"] == LOOP
    assert "accuracy" in printed(capsys, "evaluate", tmp_path / "t")
    words = refused(capsys, "train", "--from", tmp_path / "t", "--results-dir", tmp_path)
    assert words.endswith(f"whose code would run; to trust it, add --trainer {LOOP}\n")
    again = printed(capsys, "train", "--from", tmp_path / "t", "--trainer", LOOP, "--results-dir", tmp_path)
    assert validated(again) == validated(said)


def validated(printed: str) -> str:
    """What the second epoch came to on the validation images."""
    (line,) = (line for line in printed.splitlines() if line.startswith("epoch 2"))
    return line.split("validation ")[1].split(",")[0]
