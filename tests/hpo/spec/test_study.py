from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpo.cli.flags import parse_spec
from hpo.spec.checks import difference, seconds
from hpo.spec.spaces.search_space import search_space
from hpo.spec.study import StudySpec
from models import MODELS


def parse(line: str) -> StudySpec:
    spec = parse_spec(line.split())
    assert spec is not None
    return spec


def test_the_defaults_are_the_documented_ones() -> None:
    search = parse("").search
    assert (search.model, search.trials, search.epochs, search.seed) == (("cnn",), 50, 10, 0)
    assert (search.sampler, search.stops_early) == ("auto", True)


def test_models_repeat_and_all_takes_every_one() -> None:
    assert parse("--model mlp --model cnn --model mlp").search.model == ("mlp", "cnn")
    assert parse("--model mlp cnn").search.model == ("mlp", "cnn")
    assert parse("--model all").search.model == tuple(MODELS)


@pytest.mark.parametrize(
    ("sampler", "scheduler", "stops"),
    [
        ("auto", "auto", True),
        ("tpe", "auto", True),
        ("gp", "auto", False),
        ("cmaes", "auto", False),
        ("gp", "asha", True),
        ("tpe", "none", False),
        ("nsgaii", "auto", False),
    ],
)
def test_early_stopping_is_left_out_for_samplers_that_cannot_use_it(sampler: str, scheduler: str, stops: bool) -> None:
    assert parse(f"--sampler {sampler} --scheduler {scheduler}").search.stops_early is stops


WRONG = {
    "--model cnnn": "--model cnnn: unknown (did you mean cnn?); choose from mlp, mlp_small, mlp_wide, cnn, ",
    "--sampler tp": "--sampler tp: unknown (did you mean tpe?); choose from auto, tpe, random, gp, cmaes, nsgaii",
    "--objective speed": "--objective speed: unknown; choose from accuracy, parameters, time",
    "--objective time": "--objective time: give accuracy, alone or once with some of parameters, time",
    "--objective accuracy accuracy": "--objective accuracy accuracy: give accuracy, alone or once with some of",
    "--objective accuracy time --sampler gp": "--sampler gp: is for one objective; with --objective accuracy time",
    "--objective accuracy time --scheduler asha": "--scheduler asha: stops trials by their accuracy alone;",
    "--prior lr=2e-3 --sampler tpe": "--prior lr=2e-3: is for --sampler auto, not tpe; leave one of them out",
    "--prior lr=2e-3 --objective accuracy time": "--prior lr=2e-3: is for one objective; leave it out with --obj",
    "--prior lr=1 --dataset digits": "--prior lr=1: cnn searches lr from 0.0005 to 0.02; --range lr=LOW:HIGH changes",
    "--finalists -1": "--finalists -1: must be at least 0",
    "--final-seeds 0": "--final-seeds 0: must be at least 1",
    "--rank-by speed": "--rank-by speed: 'speed' is unknown; choose from accuracy, parameters, time",
    "--search-widths --model lenet5": "--search-widths: is for mlp, mlp_small, mlp_wide, cnn, ",
    "--scheduler median": "--scheduler median: unknown; choose from auto, asha, none",
    "--dataset mnsit": "--dataset mnsit: unknown (did you mean mnist?); choose from auto, mnist, fashion-mnist",
    "--device GPU:1": "--device GPU:1: unknown (did you mean cuda?); choose from auto, cpu, cuda, mps",
    "--device cuda:0": "--device cuda:0: unknown (did you mean cuda?); choose from auto, cpu, cuda, mps",
    "--device cpu:0": "--device cpu:0: unknown (did you mean cpu?); choose from auto, cpu, cuda, mps",
    "--device nvidia": "--device nvidia: unknown (did you mean cuda?); choose from auto, cpu, cuda, mps",
    "--device metal": "--device metal: unknown (did you mean mps?); choose from auto, cpu, cuda, mps",
    "--precision fp32": "--precision fp32: unknown (did you mean float32?); choose from auto, float32, bf16",
    "--precision float16": "--precision float16: unknown (did you mean bf16?); choose from auto, float32, bf16",
    "--precision fp16": "--precision fp16: unknown (did you mean bf16?); choose from auto, float32, bf16",
    "--precision BF16": "--precision BF16: unknown (did you mean bf16?); choose from auto, float32, bf16",
    "--dataset fmnist": "--dataset fmnist: unknown (did you mean fashion-mnist?); choose from auto, mnist, ",
    "--precision fp8": "--precision fp8: unknown; choose from auto, float32, bf16",
    "--trials 0": "--trials 0: must be at least 1",
    "--trials -5": "--trials -5: must be at least 1",
    "--epochs 0": "--epochs 0: must be at least 1",
    "--concurrency 0": "--concurrency 0: must be at least 1",
    "--concurrency -1": "--concurrency -1: must be at least 1",
    "--cpus-per-trial 0": "--cpus-per-trial 0: must be at least 1",
    "--seed 4294967296": "--seed 4294967296: must be at most 2147483647",
    "--gpus-per-trial inf": "--gpus-per-trial inf: must be 0 or more",
    "--gpus-per-trial -1": "--gpus-per-trial -1.0: must be 0 or more",
    "--resume a --config b.toml": "--config b.toml: a resumed run keeps its settings; leave it out",
    f"--dataset {'x' * 300}": "xxx: unknown; choose from auto",
    "--gpus-per-trial 1.5": "--gpus-per-trial 1.5: must be 0, a fraction of one GPU or a whole number",
    "--gpus-per-trial most": "--gpus-per-trial most: unknown; choose from auto, or give a number of GPUs",
    "--gpus-per-trial auto --workers-per-trial 2": "--gpus-per-trial auto: is for trials of one worker; give a number",
    "--fuse 1": "--fuse 1: must be at least 2",
    "--fuse -3": "--fuse -3: must be at least 2",
    "--fuse on": "--fuse on: unknown; choose from auto, off, or give a number of trials",
    "--fuse 1.5": "--fuse 1.5: unknown; choose from auto, off, or give a number of trials",
    "--fuse 4 --workers-per-trial 2": "--fuse 4: is for trials of one worker; leave out --workers-per-trial",
    "--max-parameters 0": "--max-parameters 0: must be at least 1",
    "--train-size 0": "--train-size 0: must be at least 1",
    "--std 0": "--std 0.0: must be over 0",
    "--time-budget soon": "--time-budget soon: give a duration such as 90s, 10m or 1h30m",
    "--time-budget 0s": "--time-budget 0s: give a duration",
    "--time-budget 10": "--time-budget 10: give the unit, as in 10s, 10m or 10h",
    "cnn --trials 5": "unexpected: cnn; did you mean --model cnn?",
    "--trials 5 6 7": "unexpected: 6 7",
    "--name a/b": "--name a/b: must be a plain folder name",
    "--name ..": "--name ..: must be a plain folder name",
    "--trials many": 'Invalid value for --trials: unable to convert "many" into int.',
    "--trails 5": "Unknown option: --trails. Did you mean --trials?",
    "--lr 3": "--lr 3: is a hyperparameter; use --set lr=3 to fix it, or --range lr=LOW:HIGH to search it",
    "--model cnn --batch-size=32": "--batch-size 32: is a hyperparameter; use --set batch_size=32 to fix it, or",
    "--optimizer sgd": "--optimizer sgd: is a hyperparameter; use --set optimizer=sgd to fix it\n",
    "--width-1 --quiet": "--width-1 VALUE: is a hyperparameter; use --set width_1=VALUE to fix it, or --range width_1=",
    "--resume nothing": "--resume nothing: not a run folder (runs in results",
    "--config nothing.toml": "--config nothing.toml: [Errno 2] No such file",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_with_flag_value_and_choices(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    from hpo.run import main

    assert main(line.split()) == 2
    printed = capsys.readouterr()
    assert WRONG[line] in printed.err and printed.err.startswith("hpo: ") and printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_config_file_gives_settings_and_spaces_and_flags_come_first(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        'model = ["mlp", "cnn"]\ntrials = 7\ntrain_size = 500\nset = ["momentum=0.8"]\nprior = ["lr=2e-3"]\n'
        '[space.cnn]\nlr = {low = 1e-4, high = 1e-2, log = true}\nactivation = ["relu", "gelu"]\ndropout = 0.2\n'
    )
    spec = parse(f"--config {file} --trials 9")
    assert (spec.search.model, spec.search.trials, spec.data.train_size) == (("mlp", "cnn"), 9, 500)
    assert (spec.search.fixed, spec.search.prior) == (("momentum=0.8",), ("lr=2e-3",))
    assert spec.search.space["cnn"]["dropout"] == 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trials = 'x'", "unable to convert"),
        ("trails = 3", "trails"),
        ("trials = ", "Invalid value"),
        ("[space]\ncnn=3", "space"),
    ],
)
def test_a_wrong_config_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        search_space("cnn", parse(f"--config {file}").search)
    assert "\n" not in str(caught.value)


def test_a_spec_goes_through_json_and_back(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    spec = StudySpec.of(model=["mlp", "cnn"], trials=4, dataset="digits", set="lr=0.01", time_budget="5m")
    (tmp_path / "r" / "study.json").write_text(json.dumps({"spec": spec.to_dict()}))
    back = parse(f"--resume r --results-dir {tmp_path}")
    assert (back.search, back.data, back.train, back.resources) == (spec.search, spec.data, spec.train, spec.resources)
    assert parse(f"--resume r --results-dir {tmp_path} --trials 8").search.trials == 8


def test_settings_in_python_are_named_like_the_flags() -> None:
    spec = StudySpec.of(model="mlp", range=["lr=1e-3:1e-2:log"], data_dir="somewhere", quiet=True)
    assert spec.search.ranges == ("lr=1e-3:1e-2:log",) and spec.data.directory == Path("somewhere")
    with pytest.raises(ValueError, match=r"setting trails: unknown \(did you mean trials\?\)"):
        StudySpec.of(trails=3)


@pytest.mark.parametrize(
    "settings", [{"trials": "x"}, {"trials": 2.5}, {"concurrency": True}, {"model": 3}, {"set": [3]}]
)
def test_settings_of_the_wrong_type_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be a"):
        StudySpec.of(**settings)


@pytest.mark.parametrize("content", ["[]", '{"spec": 3}', "{", ""])
def test_a_broken_study_json_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "study.json").write_text(content)
    with pytest.raises(ValueError, match=r"--resume r: its study.json cannot be read"):
        parse(f"--resume r --results-dir {tmp_path}")


def test_data_dir_comes_from_the_flag_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODIUM_DATA_DIR", "/of/environment")
    assert parse("").data.directory == Path("/of/environment")
    assert parse("--data-dir /of/flag").data.directory == Path("/of/flag")
    monkeypatch.delenv("PODIUM_DATA_DIR")
    assert parse("").data.directory == Path("data")


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200), ("0.5s", 0.5)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


def test_differences_name_the_flag_and_both_values() -> None:
    old: dict[str, Any] = {"epochs": 10, "train_size": 100}
    assert difference(old, {"epochs": 5, "train_size": 100, "std": 1}) == ["--epochs 10 -> 5", "--std unset -> 1"]


def test_the_flags_that_are_used_most_have_a_short_form() -> None:
    search = parse("-m lenet5 mlp -n 5 -e 2").search
    assert (search.model, search.trials, search.epochs) == (("lenet5", "mlp"), 5, 2)
