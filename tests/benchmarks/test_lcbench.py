"""The benchmark of searches on LCBench; its network's curves where they are there, else made-up ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from tests.benchmarks.lcbench import compare, measures
from tests.benchmarks.lcbench.guesses import make_guess
from tests.benchmarks.lcbench.report import tables
from tests.benchmarks.lcbench.runs import Run, read, write
from tests.benchmarks.lcbench.simulator import History, Job, Simulator, Verdict
from tests.benchmarks.lcbench.stopping import BestOfFirstEpoch, Promotion
from tests.benchmarks.lcbench.strategies import NAMES, REFERENCES, STRATEGIES, make_strategy
from tests.benchmarks.lcbench.surrogate import EPOCHS, SPLITS, Curve, Surrogate, optima, space, tasks
from tests.benchmarks.lcbench.task_runs import Settings, TaskRuns

SPACE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
FOLDER = Path(os.environ.get("PODIUM_DATA_DIR", "data")) / "lcbench"
needs_lcbench = pytest.mark.skipif(not (FOLDER / "model.onnx").exists(), reason="needs $PODIUM_DATA_DIR/lcbench")


def curve(config: Mapping[str, Any]) -> Curve:
    """Rises towards a value that is highest at x = y = 0.3; an epoch takes longer where x is larger."""
    last = 100 - 50 * ((config["x"] - 0.3) ** 2 + (config["y"] - 0.3) ** 2)
    return Curve(np.round(last * (1 - 0.7 ** np.arange(1, EPOCHS + 1)), 4), np.full(EPOCHS, 1 + config["x"]))


def made_run(strategy: str, seed: int, accuracies: Sequence[float], ends: Sequence[int], task: str = "1") -> Run:
    best = list(np.maximum.accumulate(accuracies))
    seconds = [2.0 * epoch for epoch in range(1, len(best) + 1)]
    return Run.of(task, strategy, seed, History(seconds, best, list(ends)))


class TwoTrials:
    """Trial 0 pauses after an epoch and goes on after trial 1, which stops after two."""

    def __init__(self) -> None:
        self.jobs = [Job(0, {"x": 0.0, "y": 0.3}), Job(1, {"x": 1.0, "y": 0.3}), Job(0, {})]

    def extend(self, trials: int) -> None: ...

    def next_job(self) -> Job | None:
        return self.jobs.pop(0) if self.jobs else None

    def report(self, trial: int, epoch: int, accuracy: float) -> Verdict:
        if trial == 0:
            return Verdict.PAUSE if epoch == 1 else Verdict.STOP if epoch == 3 else Verdict.CONTINUE
        return Verdict.STOP if epoch == 2 else Verdict.CONTINUE


def test_a_paused_trial_goes_on_where_it_stood() -> None:
    simulator = Simulator(TwoTrials(), curve, workers=1)
    simulator.run(2)
    assert simulator.history.seconds == [1, 3, 5, 6, 7]
    first, other = curve({"x": 0.0, "y": 0.3}).accuracies, curve({"x": 1.0, "y": 0.3}).accuracies
    assert simulator.history.best == [first[0], first[0], other[1], first[1], first[2]]
    assert simulator.history.ends == [5]


def test_two_workers_train_at_the_same_time() -> None:
    simulator = Simulator(TwoTrials(), curve, workers=2)
    simulator.run(2)
    assert simulator.history.seconds == [1, 2, 2, 3, 4]


def test_promotion_fills_each_rung_with_the_best_of_the_one_below() -> None:
    rule = Promotion(first=3, epochs=EPOCHS, factor=3)
    assert list(rule.rungs) == [3, 9, 27]
    assert rule.judge(0, 2, 0.9) is Verdict.CONTINUE
    for trial in range(6):
        assert rule.judge(trial, 3, 0.1 * trial) is Verdict.PAUSE
    assert [rule.promote() for _ in range(3)] == [5, 4, None]
    rule.judge(6, 3, 0.9)
    assert rule.promote() == 6  # the best two are now 6 and 5, and 5 has gone on
    for trial in (4, 5, 6):
        rule.judge(trial, 9, 0.1 * trial)
    assert [rule.promote() for _ in range(2)] == [6, None]


def test_the_best_of_the_first_epoch_go_on_when_all_are_seen() -> None:
    rule = BestOfFirstEpoch(kept=2)
    rule.extend(4)
    for trial, value in enumerate((0.1, 0.4, 0.3)):
        assert rule.judge(trial, 1, value) is Verdict.PAUSE and rule.promote() is None
    rule.judge(3, 1, 0.2)
    assert [rule.promote() for _ in range(3)] == [1, 2, None]
    assert rule.judge(1, 2, 0.0) is Verdict.CONTINUE
    rule.extend(1)
    rule.judge(4, 1, 0.0)
    assert [rule.promote() for _ in range(3)] == [3, 0, None]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("gp", "podium-learned"))])
def test_every_strategy_searches(name: str) -> None:
    simulator = Simulator(make_strategy(name, "", SPACE, 0, curve), curve, workers=2)
    simulator.run(12)
    assert 12 <= len(simulator.history.best) <= 12 * EPOCHS
    assert simulator.history.best[-1] > 85
    again = Simulator(make_strategy(name, "", SPACE, 0, curve), curve, workers=2)
    again.run(12)
    assert again.history == simulator.history


@needs_lcbench
@pytest.mark.slow
def test_a_search_after_others_begins_with_what_they_found() -> None:
    pytest.importorskip("onnxruntime")
    task = tasks(FOLDER, "development")[0]
    curves = Surrogate(FOLDER, task).curve

    def first(name: str) -> Job:
        strategy = make_strategy(name, task, space(FOLDER), 0, curves)
        strategy.extend(1)
        job = strategy.next_job()
        assert job is not None
        return job

    right, wrong = first("podium-learned"), first("podium-learned-wrong")
    assert curves(right.config).accuracies[-1] > curves(wrong.config).accuracies[-1]
    assert first("podium-learned") == right


def test_guesses_lie_near_the_configuration_of_their_quantile() -> None:
    def left(quantile: float) -> float:
        """The mean regret of some guesses."""
        found = [make_guess(SPACE, curve, seed, quantile).config for seed in range(20)]
        return float(np.mean([curve({"x": 0.3, "y": 0.3}).accuracies[-1] - curve(one).accuracies[-1] for one in found]))

    assert left(0.0) < 2 < 5 < left(0.5) < left(1.0)


def test_the_second_trial_has_the_guess() -> None:
    search = make_strategy("podium-prior-right", "", SPACE, 0, curve)
    search.extend(2)
    first, second = search.next_job(), search.next_job()
    assert first is not None and first.config != make_guess(SPACE, curve, 0, 0.0).config
    assert second is not None and second.config == make_guess(SPACE, curve, 0, 0.0).config


@pytest.mark.slow
def test_gp_learns_from_paused_trials() -> None:
    simulator = Simulator(STRATEGIES["gp-promotion-1-3"](SPACE, 0), curve, workers=1)
    simulator.run(14)  # the last four are drawn by the model
    assert simulator.history.best[-1] > 95


def test_runs_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    runs = [made_run("tpe-asha", 0, [1, 3, 2, 4.5, 4], ends=[3, 5]), made_run("tpe", 0, [5], ends=[1])]
    write(path, 1, 50, runs)
    back = read(path, 1, 50)
    assert [run.key for run in back] == [("1", "tpe-asha", 0), ("1", "tpe", 0)]
    assert list(back[0].epochs) == [1, 2, 3, 4, 5] and list(back[0].rounds) == [0, 0, 1, 1, 2]
    assert list(back[0].accuracy) == [1, 3, 3, 4.5, 4.5] and back[0].first_round == 2
    assert back[0].seconds[-1] == 10
    with pytest.raises(ValueError, match="other --workers or --trials"):
        read(path, 8, 50)
    assert read(tmp_path / "missing.csv", 1, 50) == []


def test_measures() -> None:
    reference = [made_run("tpe-asha", seed, [1, 2, last, 9], ends=[3]) for seed, last in enumerate((3, 4, 5))]
    other = [made_run("tpe", seed, [1, *values], ends=[2]) for seed, values in enumerate(([4.5], [1, 4], [1]))]
    assert measures.goal(reference) == 4
    assert measures.speed(reference, reference, "epochs").factors == pytest.approx([1])
    fast = measures.speed(other, reference, "seconds")
    assert fast.factors == pytest.approx([1]) and (fast.slower, fast.censored) == (0, 0)
    never = measures.speed([made_run("tpe", 0, [1, 1], ends=[2])], reference, "epochs")
    assert never.factors == pytest.approx([measures.MAX_FACTOR]) and (never.slower, never.censored) == (1, 1)
    assert measures.regret_at(reference, {"1": 10.0}, 2) == 8 and measures.regret_at(reference, {"1": 10.0}, 99) == 1
    assert measures.first_round(other, {"1": 10.0}) == (2, pytest.approx(10 - (4.5 + 1 + 1) / 3))


def test_the_mean_factor_is_geometric_with_an_interval_around_it() -> None:
    result = measures.Speed(np.array([0.25, 1.0, 0.5, 0.5]))
    assert result.mean == pytest.approx(0.5)
    low, high = result.interval
    assert 0.25 < low < 0.5 < high < 1
    assert measures.Speed(np.array([0.5, 0.5])).interval == pytest.approx((0.5, 0.5))


def test_searches_go_on_until_they_are_as_good_as_the_references() -> None:
    settings = Settings(["random-asha", "tpe-promotion-3-3"], 2, workers=1, trials=9, rounds=3, references=REFERENCES)
    runs = TaskRuns(settings, "1", SPACE, curve).new()
    goal = measures.goal([run for run in runs if run.strategy in REFERENCES])
    assert all(run.accuracy[-1] >= goal or run.rounds[-1] == 3 for run in runs)
    assert all(run.rounds[-1] >= 1 for run in runs)
    assert TaskRuns(settings, "1", SPACE, curve, runs).new() == []
    text = tables(runs, 9, {"1": 100.0}, REFERENCES)
    assert "| random-asha | 1.00 | 1.00 to 1.00 | 0 of 1 | 0 of 1 | 1.00 |" in text
    assert "mean over 1 tasks and 2 seeds" in text


def test_the_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for flag, value, words in (("--strategies", "tpe,no", "no: unknown strategy"), ("--split", "all", "'all'")):
        with pytest.raises(SystemExit) as error:
            compare.main(["--strategies", "tpe", flag, value, "--out", str(tmp_path / "x.csv")])
        assert error.value.code == 2 and words in capsys.readouterr().err


def test_the_optimum_of_every_task_is_known() -> None:
    assert len(optima()) == 34 and all(0 < value < 100 for value in optima().values())


@needs_lcbench
def test_the_splits_are_apart() -> None:
    development, report = (tasks(FOLDER, split) for split in SPLITS)
    assert len(development) == len(report) == 17 and set(development) | set(report) == set(optima())


@needs_lcbench
def test_a_curve_of_the_network() -> None:
    pytest.importorskip("onnxruntime")
    surrogate = Surrogate(FOLDER, tasks(FOLDER, "development")[0])
    middle = {name: (entry.low + entry.high) / 2 for name, entry in space(FOLDER).items()}
    found = surrogate.curve(middle)
    assert found.accuracies.shape == found.seconds.shape == (EPOCHS,)
    assert 0 <= found.accuracies.min() <= found.accuracies.max() <= 100 and found.seconds.min() >= 0
    assert surrogate.curve(middle) is found


@needs_lcbench
def test_the_command_compares_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    arguments = ["--seeds", "1", "--trials", "6", "--tasks", "1", "--rounds", "2", "--out", str(tmp_path / "x.csv")]
    compare.main([*arguments, "--strategies", "random-asha"])
    assert "mean over 1 tasks and 1 seeds" in capsys.readouterr().out
    compare.main([*arguments, "--strategies", "random-asha,tpe-promotion-1-3", "--against", "tpe-promotion-1-3"])
    assert "Until the accuracy of tpe-promotion-1-3 after 6 trials" in capsys.readouterr().out
    compare.main([*arguments, "--strategies", "random-asha,tpe-promotion-1-3"])
    written = capsys.readouterr()
    assert written.out.count("| tpe-promotion-1-3 |") == 2 and "2 searches" in written.err
    with pytest.raises(SystemExit, match="use another file"):
        compare.main([*arguments, "--strategies", "random-asha", "--workers", "2"])
