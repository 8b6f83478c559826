"""What a resumed run takes over, and what of it is not taken at its word."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo import plan_study, run_study
from hpo.__main__ import main as cli
from hpo.run import main
from hpo.session.preflight.planning import preflight
from hpo.session.session import open_session
from hpo.session.study_json import describe
from hpo.spec.study import StudySpec
from hpo.store import run_folder as folders
from hpo.store.trust import consent
from hpo.trials.records import TrialRecord
from tests.helpers.records import record

EVIL = "results.foreign.evil:net"
NET = (
    "from torch import nn\n\ndef net(shape, classes, *, width=8):\n"
    "    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, classes))\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of the user's, which is on the path as it is for a command, with a network in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("results", "results.foreign", "results.foreign.evil", "resumednets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "resumednets.py").write_text(NET)
    return tmp_path


def a_run(name: str = "a", records: list[TrialRecord] | None = None, **settings: Any) -> Path:
    """A run that was cut short, as its folder is left."""
    study = describe(preflight(StudySpec.of(**{"dataset": "digits", "trials": 4, "epochs": 2, **settings})))
    made = folders.create(Path("results"), name, study)
    made.unlock()
    made.journal.write_text("".join(f"{json.dumps(one.to_dict())}\n" for one in records or []))
    return made.path


def edited(path: Path, **spec: Any) -> None:
    study = json.loads((path / "study.json").read_text())
    study["spec"] |= spec
    (path / "study.json").write_text(json.dumps(study))


@pytest.fixture
def planted(here: Path) -> Path:
    """A run that came from elsewhere and names code that came with it; the mark that this code leaves."""
    path, mark = a_run("foreign"), here / "it-ran"
    (path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n{NET}")
    edited(path, model=[EVIL])
    return mark


@pytest.mark.parametrize(
    "line",
    [
        "run --resume foreign",
        "run --resume foreign --dry-run",
        "run --resume foreign --trials 9 --model resumednets:net",
        "run --resume foreign --model cnn",
        "submit --dry-run -- --resume foreign",
        "report results/foreign",
        "compare results/foreign results/foreign --mixed",
    ],
)
def test_code_that_a_stored_run_names_does_not_run(
    line: str, planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli(line.split())
    err = capsys.readouterr().err
    assert not planted.exists() and "results.foreign.evil" not in sys.modules
    if "--resume" in line:
        assert code == 2 and err.startswith("hpo: --resume foreign: ") and err.count("\n") == 1
    if "--resume" in line and "--model" not in line:
        assert err == (
            f"hpo: --resume foreign: uses the architecture {EVIL}, whose code would run; "
            f"to trust it, add --model {EVIL}\n"
        )


def test_in_python_it_does_not_run_either(planted: Path) -> None:
    with pytest.raises(ValueError, match=f"--resume foreign: uses the architecture {EVIL}, whose code would run"):
        StudySpec.of(resume="foreign", trials=9)
    assert not planted.exists()


@pytest.mark.parametrize("model", [EVIL, [["cnn", EVIL]], {"x": EVIL}, 3])
def test_no_other_form_of_the_name_gets_past(model: Any, planted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(Path("results/foreign"), model=model)
    assert main(["--resume", "foreign", "--dry-run"]) == 2
    with pytest.raises(ValueError, match=r"must be a text or a list of texts|whose code would run"):
        StudySpec.of(resume="foreign")
    assert not planted.exists() and capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("key", ["results-dir", "config", "Model", "of_next_version"])
def test_a_setting_that_is_none_is_refused(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    edited(a_run(), **{key: "x"})
    assert main(["--resume", "a", "--dry-run"]) == 2
    assert capsys.readouterr().err == f"hpo: --resume a: its study.json cannot be read (no setting is called {key})\n"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (record(0, model=EVIL, val_accuracy=0.9), f"cnn-0000 uses {EVIL}"),
        (record(0, model="mlp", val_accuracy=0.9), "cnn-0000 uses mlp"),
        (record(0, trial_id="../../x", val_accuracy=0.9), "../../x is no trial"),
    ],
)
def test_a_trial_of_another_architecture_is_refused(
    one: TrialRecord, words: str, planted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The finals would build it."""
    path = a_run(records=[one])
    before = (path / "study.json").read_bytes()
    assert main(["--resume", "a"]) == 2
    assert capsys.readouterr().err == f"hpo: --resume a: its trials.jsonl belongs to another run ({words})\n"
    assert not planted.exists() and (path / "study.json").read_bytes() == before


def test_a_run_of_ones_own_architecture_goes_on_when_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    a_run(model=["cnn", "resumednets:net"], set="width=4")
    assert main(["--resume", "a", "--dry-run"]) == 2
    hint = capsys.readouterr().err.partition("add ")[2].split()
    assert hint == ["--model", "cnn", "resumednets:net"]
    assert main(["--resume", "a", "--dry-run", *hint]) == 0
    out = capsys.readouterr().out
    assert "resumednets:net (3,190 parameters)" in out and "trials:  8 (4 for each of 2), 2 epochs" in out
    assert cli(["submit", "--dry-run", "--", "--resume", "a", *hint]) == 0
    assert "--resume a --model cnn resumednets:net\n" in capsys.readouterr().out
    assert main(["--resume", "a", "--dry-run", "--model", "resumednets:net"]) == 2
    assert "a resumed run cannot change --model ['cnn', 'resumednets:net'] -> ['res" in capsys.readouterr().err


def test_what_is_printed_to_go_on_with_names_it() -> None:
    assert consent(["cnn", "mlp"]) == "" and consent(["cnn", "a:b"]) == " --model cnn a:b"
    spec = StudySpec.of(model=["cnn", "resumednets:net"], dataset="digits", trials=2, epochs=1, name="a")
    with open_session(preflight(spec), None) as session:
        hint = session.judge.outcome([], interrupted=True).error
    words = hint.removeprefix("interrupted; go on with: python hpo/run.py ").split()
    assert words == ["--resume", "a", "--model", "cnn", "resumednets:net"]
    assert main([*words, "--dry-run"]) == 0


def test_python_takes_the_settings_over_like_the_command_line() -> None:
    a_run(model="mlp", set="dropout=0.2", seed=5, train_size=300, space={"mlp": {"lr": 0.01}})
    spec = StudySpec.of(resume="a", trials=20, results_dir="results", quiet=True)
    assert (spec.search.trials, spec.search.epochs, spec.search.seed) == (20, 2, 5)
    assert (spec.search.model, spec.search.fixed, spec.data.train_size) == (("mlp",), ("dropout=0.2",), 300)
    assert spec.search.space == {"mlp": {"lr": 0.01}} and spec.output.quiet
    assert "trials:  20, 2 epochs" in str(plan_study(StudySpec.of(resume="a", trials=20)))
    with pytest.raises(ValueError, match="a resumed run cannot change --epochs 2 -> 3"):
        plan_study(StudySpec.of(resume="a", epochs=3))
    with pytest.raises(ValueError, match=r"--resume b: not a run folder \(runs in results: a\)"):
        StudySpec.of(resume="b")
    with pytest.raises(ValueError, match="setting trails: unknown"):
        StudySpec.of(resume="a", trails=3)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_local")
def test_an_extension_in_python_says_only_what_is_new(here: Path) -> None:
    kept = {"results_dir": here / "results", "quiet": True}
    settings = {"model": "resumednets:net", "dataset": "digits", "train_size": 200, "epochs": 2, "finalists": 0}
    first = run_study(StudySpec.of(**settings, trials=2, name="a", **kept))
    more = run_study(StudySpec.of(resume="a", trials=3, model="resumednets:net", **kept))
    assert len(more.frame) == 3 and more.state == "complete"
    assert set(first.frame["trial_id"]) < set(more.frame["trial_id"])
