"""Whole runs on a real Ray, in this process."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import optuna
import pandas as pd
import pytest
import ray

from hpo import StudyResult, StudySpec, plan_study, run_study
from hpo.__main__ import main as cli
from hpo.run import main
from hpo.search import tuning as search_module
from hpo.session import result_files, session
from hpo.store.journal import read_journal
from hpo.trials.messages import REPORTS
from hpo.trials.records import TrialRecord
from hpo.views.estimate import Work
from hpo.views.progress import Progress
from hpo.worker.trial import Trial
from trainers.data.splits import TrainingArrays

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]
TIMES = ["rank", "pareto", "images_per_s", "wall_time_s", "queue_s", "setup_s", "train_s", "eval_s"]


def run(tmp_path: Path, **settings: Any) -> StudyResult:
    base = {
        "model": "mlp_small",
        "dataset": "digits",
        "train_size": 200,
        "epochs": 3,
        "finalists": 0,
        "results_dir": tmp_path,
    }
    return run_study(StudySpec.of(**{**base, "quiet": True, **settings}))


def states(result: StudyResult) -> dict[str, list[str]]:
    """Optuna's states by study."""
    url = f"sqlite:///{result.folder}/study.db"
    names = optuna.get_all_study_names(url)
    return {n: [t.state.name for t in optuna.load_study(study_name=n, storage=url).trials] for n in names}


def test_a_study_from_spec_to_files(tmp_path: Path) -> None:
    result = run(tmp_path, trials=8, name="a")
    # What a worker does once is no trial's time, so the first trial is set up as fast as the others.
    assert result.frame["setup_s"].max() < 1 < result.frame["queue_s"].max()
    frame = pd.read_csv(result.folder / "trials.csv")
    assert list(frame["rank"]) == list(range(1, 9)) and result.exit_code == 0
    assert set(frame["state"]) <= {"completed", "stopped", "diverged", "failed"}
    pd.testing.assert_frame_equal(frame.fillna({"error": ""}), result.frame, check_dtype=False, rtol=1e-6)
    names = {p.name for p in result.folder.iterdir()}
    files = "study.json study.db trials.csv trials.jsonl curves.csv leaderboard.csv report.html best.pt best.json"
    assert names == {*files.split(), "logs", ".lock"}
    told = states(result)["mlp_small"]
    by_id = frame.sort_values("trial_id")["state"].map({"completed": "COMPLETE"}).fillna("PRUNED")
    assert told == list(by_id) and "PRUNED" in told
    study = json.loads((result.folder / "study.json").read_text())
    assert study["state"] == "complete" and sum(study["trials"].values()) == 8
    curves = pd.read_csv(result.folder / "curves.csv")
    assert len(curves) == frame["epochs"].sum()
    log = (result.folder / "logs" / "hpo.log").read_text()
    assert log.count("starts with") == 8 and log.count("goes on") == sum(frame["epochs"] > 2)


def test_the_first_trial_is_the_default_and_the_best_weights_are_the_winners(tmp_path: Path) -> None:
    from models import build_model
    from trainers import checkpoint
    from trainers.data.dataset import load_dataset
    from trainers.loop import evaluate

    result = run(tmp_path, trials=4)
    rows = result.frame.set_index("trial_id")
    first = rows.loc["mlp_small-0000"]
    assert (first["lr"], first["batch_size"], first["activation"]) == (3e-3, 64, "relu")
    best = checkpoint.load(result.folder / "best.pt")
    model = build_model(best["model"], tuple(best["input_shape"]), best["num_classes"], **best["arch"])
    model.load_state_dict(best["state_dict"])
    data = load_dataset("digits", Path("x"), train_size=200).training
    assert evaluate(model, data.validation, "float32")[1] == pytest.approx(result.frame["val_accuracy"][0])
    assert json.loads((result.folder / "best.json").read_text())["trial_id"] == result.frame["trial_id"][0]


def test_the_same_seed_one_at_a_time_gives_the_same_trials(tmp_path: Path) -> None:
    frames = []
    for name in ("a", "b"):
        result = run(tmp_path, trials=14, concurrency=1, seed=5, name=name)
        frame = pd.read_csv(result.folder / "trials.csv").sort_values("trial_id").reset_index(drop=True)
        frames.append(frame.drop(columns=TIMES))
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert frames[0]["state"].nunique() > 1


def test_every_trained_network_fits_the_budget(tmp_path: Path) -> None:
    settings = {
        "search_widths": True,
        "max_parameters": 8000,
        "trials": 50,
        "epochs": 1,
        "train_size": 64,
        "sampler": "random",
    }
    result = run(tmp_path, model=["compact_7k", "compact_6k"], **settings)
    assert list(result.frame["model"].value_counts()) == [50, 50] and (result.frame["parameters"] <= 8000).all()
    assert result.frame["width_1"].nunique() > 10
    assert len(states(result)["compact_7k"]) > 50  # rejected ones are in the study, and no trials of the run


def test_several_objectives_give_a_front(tmp_path: Path) -> None:
    settings = {"objective": ["accuracy", "parameters"], "search_widths": True, "sampler": "nsgaii"}
    result = run(tmp_path, model="mlp_small", trials=12, name="a", **settings)
    frame = result.frame
    assert set(frame["state"]) == {"completed"}  # none was stopped early
    front, rest = [], []
    for _, row in frame.iterrows():
        better = (frame["val_accuracy"] >= row["val_accuracy"]) & (frame["parameters"] <= row["parameters"])
        strictly = (frame["val_accuracy"] > row["val_accuracy"]) | (frame["parameters"] < row["parameters"])
        (rest if (better & strictly).any() else front).append(row["rank"])
    assert sorted(front) == list(range(1, len(front) + 1)) and len(front) > 1
    study = optuna.load_study(study_name="mlp_small", storage=f"sqlite:///{result.folder}/study.db")
    assert len(study.directions) == 2 and {t.values[1] for t in study.best_trials} <= set(frame["parameters"])
    assert len(run(tmp_path, model="mlp_small", trials=14, resume="a", **settings).frame) == 14


def test_the_command_shown_trains_the_winner_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(tmp_path, trials=5, quiet=False)
    out = capsys.readouterr().out
    evaluating, training = (line.partition(": ")[2].split() for line in out.splitlines()[-2:])
    assert evaluating == ["hpo", "evaluate", str(result.folder)] and cli(evaluating[1:]) == 0
    assert training[:3] == ["hpo", "train", "--from"]
    assert cli([*training[1:], "--name", "again", "--results-dir", str(tmp_path)]) == 0
    again = json.loads((tmp_path / "again" / "best.json").read_text())["trial"]
    for column in ("val_accuracy", "val_loss", "train_loss", "seed", "epochs"):
        assert again[column] == result.frame[column][0], column


def test_several_architectures_share_one_ranking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(tmp_path, model=["mlp_small", "lenet5", "cnn"], trials=3, max_parameters=50_000, quiet=False)
    out = capsys.readouterr().out
    assert "left out by --max-parameters 50000: cnn has 429,258" in out
    assert "trials:  6 (3 for each of 2), 3 epochs, auto, asha: the best quarter goes on after epoch 2\n" in out
    assert sorted(result.frame["model"]) == ["lenet5"] * 3 + ["mlp_small"] * 3
    assert list(result.frame["rank"]) == list(range(1, 7))
    assert dict(zip(result.frame["model"], result.frame["parameters"], strict=True)) == {
        "lenet5": 44_426,
        "mlp_small": 45_846,
    }
    assert {name: len(told) for name, told in states(result).items()} == {"mlp_small": 3, "lenet5": 3}
    assert len(pd.read_csv(result.folder / "leaderboard.csv")) == 2


class SpyingTrial(Trial):
    """Says through its row where its images lie, and whether they are shared memory (which is read-only)."""

    def step(self) -> dict[str, Any]:
        result = super().step()
        if result["done"]:
            address = self.data.train.images.data_ptr()
            maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
            bounds = [([int(end, 16) for end in m[0].split("-")], m[1], " ".join(m[5:])) for m in maps]
            (home,) = [(mode, file) for (low, high), mode, file in bounds if low <= address < high]
            result[REPORTS] = [replace(result[REPORTS][0], error=f"{home[1]} {os.getpid()}")]
        return result


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc, which only Linux has")
def test_the_data_set_is_shared_between_workers_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, SpyingTrial)
    puts = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: puts.append(value) or put(value))
    result = run(tmp_path, model=["mlp_small", "lenet5"], trials=3, scheduler="none")
    homes = [words.rpartition(" ")[0] for words in result.frame["error"]]
    assert len(homes) == 6 and all("plasma" in home or "/dev/shm" in home for home in homes), homes
    assert sum(isinstance(value, TrainingArrays) for value in puts) == 1


@pytest.mark.parametrize("sampler", ["random", "gp", "cmaes"])
def test_every_sampler(tmp_path: Path, sampler: str) -> None:
    result = run(tmp_path, trials=5, sampler=sampler, epochs=2)
    whole = sampler != "random"
    assert set(result.frame["state"]) == {"completed"} if whole else len(result.frame) == 5


def test_divergence_is_a_state_and_ranks_after_every_finite_trial(tmp_path: Path) -> None:
    result = run(tmp_path, trials=4, set=["lr=1e12", "optimizer=sgd"], scheduler="none")
    assert set(result.frame["state"]) == {"diverged"} and result.best is None
    assert set(states(result)["mlp_small"]) == {"PRUNED"}
    assert result.exit_code == 1 and not (result.folder / "best.pt").exists()
    assert result.error.startswith("no trial is usable, the first with: loss is not finite in epoch ")


class FailingTrial(Trial):
    """Fails on trials with an odd number, or on all."""

    odd_only = True

    def _run(self) -> Any:
        if not self.odd_only or self.request.trials[0].number % 2:
            raise RuntimeError("no such luck")
        return super()._run()


class HopelessTrial(FailingTrial):
    odd_only = False


class DyingTrial(Trial):
    """Takes its worker with it, whenever the second trial is tried."""

    def step(self) -> dict[str, Any]:
        if self.request.trials[0].number == 1:
            os._exit(1)
        return super().step()


class StaleTrial(Trial):
    """Reports a better epoch than its checkpoint holds, as after a disk that filled up."""

    def step(self) -> dict[str, Any]:
        result = super().step()
        (report,) = result[REPORTS]
        return {**result, REPORTS: [replace(report, best_epoch=99)]}


class BrokenDisplay(Progress):
    def finished(self, record: TrialRecord) -> None:
        raise BrokenPipeError


def patched(monkeypatch: pytest.MonkeyPatch, trial: type[Trial]) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(search_module, "Trial", trial)


def test_a_failing_trial_is_a_row_and_the_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, FailingTrial)
    result = run(tmp_path, trials=5)
    failed = result.frame[result.frame["state"] == "failed"]
    assert list(failed["error"]) == ["RuntimeError: no such luck"] * 2 and list(failed["rank"]) == [4, 5]
    assert result.exit_code == 0 and states(result)["mlp_small"].count("FAIL") == 2
    assert "Traceback" in (result.folder / "logs" / "hpo.log").read_text()


def test_a_worker_that_always_dies_is_a_failed_row_after_three_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched(monkeypatch, DyingTrial)
    result = run(tmp_path, trials=4)
    rows = result.frame.set_index("trial_id")
    assert list(result.frame["trial_id"])[-1] == "mlp_small-0001" and len(rows) == 4
    dead = rows.loc["mlp_small-0001"]
    assert (dead["state"], dead["retries"]) == ("failed", 2) and "called os._exit(1)" in dead["error"]
    assert states(result)["mlp_small"][1] == "FAIL" and "RUNNING" not in states(result)["mlp_small"]


class _LostNode(Progress):
    """After the first finished trial, Ray raises what it raises for a node that was lost at a bad moment."""

    has_lost = False

    def finished(self, record: TrialRecord) -> None:
        from ray.tune.execution.tune_controller import TuneController

        step = TuneController.step

        def failing(controller: TuneController) -> None:
            TuneController.step = step
            raise RuntimeError("Caught unexpected exception: NodeDiedError")

        if not self.has_lost:
            self.has_lost, TuneController.step = True, failing


def test_a_tuner_that_ray_ends_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "make_progress", lambda *a: _LostNode(Work(8, 3)))
    result = run(tmp_path, trials=8)
    assert result.exit_code == 0 and sorted(result.frame["trial_id"]) == [f"mlp_small-{n:04d}" for n in range(8)]
    assert set(states(result)["mlp_small"]) <= {"COMPLETE", "PRUNED"} and len(states(result)["mlp_small"]) == 8
    assert "Tune ended by itself" in (result.folder / "logs" / "hpo.log").read_text()


def test_weights_of_another_epoch_are_not_taken_for_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patched(monkeypatch, StaleTrial)
    result = run(tmp_path, trials=2, quiet=False)
    assert not (result.folder / "best.pt").exists()
    assert "weights: not kept, " in capsys.readouterr().out
    assert "older than its best epoch" in (result.folder / "logs" / "hpo.log").read_text()


def test_a_display_that_fails_does_not_end_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "make_progress", lambda *a: BrokenDisplay(Work(3, 3)))
    assert len(run(tmp_path, trials=3).frame) == 3


def test_an_error_of_our_own_is_no_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*args: Any) -> None:
        raise ValueError("not the user's")

    monkeypatch.setattr(result_files, "trials_frame", bug)
    line = f"--model mlp_small --dataset digits --trials 1 --epochs 1 --results-dir {tmp_path} --name a"
    with pytest.raises(ValueError, match="not the user's"):  # Python prints its traceback, and ends with exit code 1
        main(line.split())
    assert "ValueError: not the user's" in (tmp_path / "a" / "logs" / "hpo.log").read_text()
    assert json.loads((tmp_path / "a" / "study.json").read_text())["state"] == "failed"


def test_all_failed_is_exit_1_with_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    patched(monkeypatch, HopelessTrial)
    line = f"--model mlp --trials 3 --dataset digits --results-dir {tmp_path} --name x"
    assert main(line.split()) == 1
    printed = capsys.readouterr()
    assert printed.err == "hpo: every trial failed, the first with: RuntimeError: no such luck\n"
    assert len(pd.read_csv(tmp_path / "x" / "trials.csv")) == 3


def test_a_time_budget_ends_the_run_with_whole_rows(tmp_path: Path) -> None:
    result = run(tmp_path, trials=1000, time_budget="25s", scheduler="none", epochs=50, name="t")
    assert result.state == "out of time" and result.exit_code == 0
    assert result.error.startswith(f"out of time after {len(result.frame)} of 1000 trials; go on with: ")
    assert 1 <= len(result.frame) < 1000 and (result.frame["epochs"] >= 1).all()
    assert "stopped" in set(result.frame["state"])
    first, others = states(result)["mlp_small"][:5], states(result)["mlp_small"][5:]
    # First trials that did not begin wait in the study, for a resumed run.
    assert {"COMPLETE", "PRUNED", "WAITING"} >= set(first) and {"COMPLETE", "PRUNED"} >= set(others)


def test_a_larger_number_of_trials_extends_a_study_and_a_smaller_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(tmp_path, trials=3, name="a")
    done = {row["trial_id"]: row for row in read_journal(first.folder / "trials.jsonl")}
    again = run(tmp_path, trials=3, resume="a", quiet=False)
    assert "resumes: 3 of 3 trials are finished\n" in capsys.readouterr().out
    assert list(again.frame["trial_id"]) == list(first.frame["trial_id"])
    more = run(tmp_path, trials=7, resume="a")
    assert len(more.frame) == 7 and more.frame["trial_id"].is_unique
    now = {row["trial_id"]: row for row in read_journal(first.folder / "trials.jsonl")}
    assert all(now[key] == row for key, row in done.items())
    assert json.loads((more.folder / "best.json").read_text())["trial_id"] == more.frame["trial_id"][0]
    with pytest.raises(ValueError, match="--trials 2: 7 are finished already"):
        run(tmp_path, trials=2, resume="a")
    assert len(pd.read_csv(more.folder / "trials.csv")) == 7
    assert json.loads((more.folder / "study.json").read_text())["state"] == "complete"


def test_an_existing_run_is_never_overwritten(tmp_path: Path) -> None:
    first = run(tmp_path, trials=1, name="a")
    before = (first.folder / "trials.csv").read_bytes()
    with pytest.raises(ValueError, match=r"--name a: .* already exists; resume it with --resume a"):
        run(tmp_path, trials=2, name="a")
    assert (first.folder / "trials.csv").read_bytes() == before


def test_a_storage_of_the_users_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    for name in ("a", "b"):
        result = run(tmp_path, trials=2, storage=url, name=name)
        assert sorted(result.frame["trial_id"]) == ["mlp_small-0000", "mlp_small-0001"]
        assert not (result.folder / "study.db").exists()
    assert sorted(optuna.get_all_study_names(url)) == ["a/mlp_small", "b/mlp_small"]
    with pytest.raises(ValueError, match="already contains a study b/mlp_small; choose another --name"):
        run(tmp_path / "elsewhere", trials=2, storage=url, name="b")
    assert len(run(tmp_path, trials=3, storage=url, resume="a").frame) == 3


def test_a_plan_and_a_dry_run_write_and_start_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, results = f"sqlite:///{tmp_path}/new.db", str(tmp_path / "r")
    plan = plan_study(StudySpec.of(model="cnn", dataset="digits", set="lr=0.01", results_dir=results, storage=url))
    (model,) = plan.models
    assert (model.name, model.parameters, plan.dataset.name, plan.storage) == ("cnn", 429_258, "digits", None)
    assert "\n  lr               0.01 (fixed)\n" in repr(plan) and capsys.readouterr().out == ""
    line = f"--model cnn --dataset digits --set lr=0.01 --dry-run --results-dir {results} --storage {url}"
    assert main(line.split()) == 0 and capsys.readouterr().out == f"{plan}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_in_python_is_plan_study(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^dry_run: .* plan_study\(spec\)"):
        run(tmp_path, dry_run=True)
    assert list(tmp_path.iterdir()) == []


def test_the_data_set_is_in_every_row_and_in_study_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.data.sources import idx

    monkeypatch.setattr(idx, "download", lambda name, folder: "no mirror answered")
    result = run(tmp_path, trials=2, dataset="auto", data_dir=tmp_path / "none", name="a")
    assert set(result.frame["dataset"]) == {"digits"}
    study = json.loads((result.folder / "study.json").read_text())
    assert "using scikit-learn's digits" in study["data"]["notice"]
    assert len(run(tmp_path, trials=3, dataset="auto", data_dir=tmp_path / "none", resume="a").frame) == 3
