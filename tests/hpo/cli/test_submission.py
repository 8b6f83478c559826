"""From the flags of a run to a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpo.__main__ import main
from hpo.cli import submission
from hpo.cli.submission import make_job


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flags(line: str) -> str:
    job = make_job(line.split())
    assert job is not None
    return " ".join(job.flags)


def test_flags_are_kept_and_places_are_said_anew(folder: Path) -> None:
    assert flags("--model cnn --trials 5 --name a --results-dir out") == "--model cnn --trials 5 --name a"
    assert flags("--name a --results_dir out --data_dir=.") == "--name a"
    job = make_job(["--model", "mlp", "cnn", "--results-dir=out"])
    assert job is not None and job.flags[:3] == ("--model", "mlp", "cnn")
    assert job.flags[3:] == ("--name", job.name) and job.target == Path("out") / job.name
    assert job.entrypoint("j-1") == f"python -m cluster.jobs.head j-1 {job.name}"


def test_a_file_with_an_architecture_is_named_as_it_travels(folder: Path) -> None:
    job = make_job(["--model", "nets/mynet.py:Net", "--trials", "5"])
    assert job is not None and job.flags[:2] == ("--model", "nets/mynet.py:Net")
    assert job.name.startswith("mynet.py-Net-") and job.own == " --model nets/mynet.py:Net"


def test_configuration_and_data_travel(folder: Path) -> None:
    (folder / "a.toml").write_text("trials = 3\n")
    (folder / "images" / "train").mkdir(parents=True)
    (folder / "mnist").mkdir()
    job = make_job(["--config", "a.toml", "--dataset", "./images", "--data-dir", "mnist", "--name", "x"])
    assert job is not None
    assert dict(job.extra) == {"config.toml": Path("a.toml"), "dataset/images": Path("images"), "data": Path("mnist")}
    assert dict(job.variables) == {"PODIUM_DATA_DIR": "_podium/data"}
    assert " ".join(job.flags) == "--name x --dataset _podium/dataset/images --config _podium/config.toml"


def test_data_that_a_configuration_names_travels_too(folder: Path) -> None:
    (folder / "mnist").mkdir()
    (folder / "a.toml").write_text('data_dir = "mnist"\nresults_dir = "out"\n')
    job = make_job(["--config", "a.toml", "--name", "x"])
    assert job is not None and job.target == Path("out/x") and job.extra["data"] == Path("mnist")
    assert " ".join(job.flags) == "--name x --data-dir _podium/data --config _podium/config.toml"


def test_data_that_is_too_large_must_be_on_the_head(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(submission, "MAX_DATA_BYTES", 10)
    (folder / "big").mkdir()
    (folder / "big" / "x").write_bytes(bytes(11))
    job = make_job(["--data-dir", "big", "--name", "x"])
    assert job is not None and job.extra == {} and job.flags == ("--name", "x", "--data-dir", "big")
    out = capsys.readouterr().out
    assert out.startswith("note: --data-dir big has") and out.endswith("the head must have it there\n")


def test_passwords_are_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = "--storage postgresql://me:geheim@h/db --storage-path=s3://key:geheim@bucket/x"
    assert main(["submit", "--dry-run", "--", *urls.split()]) == 0
    assert "geheim" not in capsys.readouterr().out and "geheim" in flags(urls)


def test_a_run_to_go_on_with_travels(folder: Path) -> None:
    run = folder / "results" / "a"
    run.mkdir(parents=True)
    (run / "study.json").write_text(json.dumps({"spec": {"model": ["cnn"], "trials": 4, "address": "10.0.0.1:6379"}}))
    job = make_job(["--resume", "a", "--trials", "9"])
    assert job is not None and job.flags == ("--resume", "a", "--trials", "9") and job.name == "a"
    assert dict(job.extra) == {"resume/a": Path("results/a")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-- --model cnnn", "--model cnnn: unknown (did you mean cnn?)"),
        ("-- --address auto", "--address auto: a job joins its own cluster; leave this flag out after the --"),
        (
            "-- --model models.mynet:Net",
            "--model models.mynet:Net: models is the name of a package of Podium's too; name your file instead: "
            "--model models/mynet.py:Net",
        ),
        ("-- --model models/mynet.py:Net", "--model models/mynet.py:Net: a job has Podium's own models/ in place of"),
        ("-- --model ../mynet.py:Net", "--model ../mynet.py:Net: the file is not in "),
        ("-- --name there", "--name there: results/there already exists"),
        ("-- --data-dir nowhere", "--data-dir nowhere: is not there"),
        ("-- --storage sqlite:///x.db", "--storage sqlite:///x.db: is a file of this machine"),
        ("-- --live", "--live: serves the page on the machine of the job alone"),
        ("-- --storage-path here", "--storage-path here: give the whole path"),
        ("--follow a --stop b", "--follow --stop: choose one"),
        ("--dry-run --stop b", "--stop --dry-run: choose one"),
        ("-- --resume nothing", "--resume nothing: not a run folder (runs in results: none)"),
        ("--follow j -- --model cnn", "--follow j: cannot be combined with the flags of a run"),
        ("--detach", "give the flags of the run after a --, as in: hpo submit -- --model cnn --trials 50"),
        ("--nonsense", "Unknown option: --nonsense"),
        (
            "--address ray://x:10001 -- --trials 1",
            "--address ray://x:10001: give the dashboard's URL, http://HOST:8265",
        ),
        ("--address http://127.0.0.1:9 -- --trials 1", "--address http://127.0.0.1:9: no dashboard answers there"),
    ],
)
def test_mistakes_are_one_line_and_start_nothing(
    folder: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "results" / "there").mkdir(parents=True)
    assert main(["submit", *line.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(f"hpo: {message}") and captured.err.count("\n") == 1


def test_a_dry_run_prints_the_job_and_asks_nobody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mynets.py").write_text("")
    line = ["--address", "http://127.0.0.1:9", "--dry-run", "--", "--model", "cnn", "--trials", "7", "--name", "x"]
    assert main(["submit", *line]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "to:       http://127.0.0.1:9" and lines[1].startswith("job:      x-")
    assert lines[2] == "runs:     python hpo/run.py --model cnn --trials 7 --name x" and "MiB zipped" in lines[4]
    assert lines[-1] == "results:  come back to results/x" and not (folder / "results").exists()


def test_earlier_runs_do_not_travel() -> None:
    with pytest.raises(ValueError, match="--learn-from results/A all: earlier runs are on this machine"):
        make_job(["--learn-from", "results/A", "all"])
