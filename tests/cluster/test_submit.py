"""Runs that are submitted to a real cluster of three nodes, as a user does it from another folder."""

from __future__ import annotations

import http.server
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pandas as pd
import pytest

from hpo import load_network
from hpo.store.journal import read_journal
from tests.cluster.conftest import LocalCluster
from tests.helpers.photos import folder_of_photos
from tests.helpers.runs import LOADING, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("listens_to_ctrl_c")]
SHORT = shlex.split("--model mlp_small --trials 4 --epochs 2 --dataset digits --finalists 0")
LONG = shlex.split("--model lenet5 --trials 300 --epochs 9 --dataset digits --scheduler none --finalists 0")


def head_trials(cluster: LocalCluster, name: str) -> int:
    """Finished trials as the head has them."""
    return len(read_journal(cluster.home / "podium-results" / name / "trials.jsonl"))


def job_of(done: subprocess.CompletedProcess[str]) -> str:
    uploads, job, *_ = done.stdout.splitlines()
    assert uploads.startswith("uploads: ") and job.startswith("job:     ")
    return job.split()[1]


def check_whole(folder: Path, trials: int) -> pd.DataFrame:
    frame = pd.read_csv(folder / "trials.csv")
    assert len(frame) == trials == len(read_journal(folder / "trials.jsonl")) and frame["trial_id"].is_unique
    (name,) = set(frame["model"])
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/study.db")
    assert {t.state.name for t in study.trials} <= {"COMPLETE", "PRUNED"} and len(study.trials) == trials
    return frame


def test_fifty_trials_while_a_node_is_killed(three_nodes: LocalCluster, tmp_path: Path) -> None:
    line = three_nodes.submit("--", "--model", "lenet5", "--trials", "50", "--dataset", "digits", "--name", "fifty")
    process = three_nodes.start(line, tmp_path)
    wait_for(lambda: head_trials(three_nodes, "fifty") >= 25, process, 400)
    three_nodes.kill_node(2)
    out, err = process.communicate(timeout=400)
    assert (process.returncode, err) == (0, ""), (out, err)
    frame = check_whole(tmp_path / "results" / "fifty", 50)
    assert frame["node"].nunique() >= 2 and set(frame["state"]) <= {"completed", "stopped"}
    assert "[50/50]" in out and "raylet" not in out and out.endswith("results downloaded to: results/fifty\n")
    names = {path.name for path in (tmp_path / "results" / "fifty").iterdir()}
    assert names >= {
        "study.json",
        "trials.csv",
        "trials.jsonl",
        "curves.csv",
        "leaderboard.csv",
        "best.pt",
        "best.json",
    }


def test_leaving_coming_back_and_going_on(three_nodes: LocalCluster, tmp_path: Path) -> None:
    done = three_nodes.run(three_nodes.submit("--detach", "--", *SHORT, "--name", "away"), tmp_path)
    assert done.returncode == 0, done.stderr
    job = job_of(done)
    assert done.stdout.splitlines()[2] == f"follow:  hpo submit --address {three_nodes.url} --follow {job}"
    assert not (tmp_path / "results").exists()
    done = three_nodes.run(three_nodes.submit("--follow", job), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    assert done.stdout.count("[4/4]") == 1
    check_whole(tmp_path / "results" / "away", 4)
    # Once more, with more trials, and on a head that knows nothing of the run.
    (three_nodes.home / "podium-results" / "away").rename(tmp_path / "lost")
    done = three_nodes.run(three_nodes.submit("--", "--resume", "away", "--trials", "6"), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    assert "resumes: 4 of 6 trials are finished" in done.stdout
    check_whole(tmp_path / "results" / "away", 6)


def test_ctrl_c_ends_the_job_well(three_nodes: LocalCluster, tmp_path: Path) -> None:
    process = three_nodes.start(three_nodes.submit("--", *LONG, "--name", "cut"), tmp_path)
    wait_for(lambda: head_trials(three_nodes, "cut") >= 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    frame = pd.read_csv(tmp_path / "results" / "cut" / "trials.csv")
    assert 2 <= len(frame) < 300 and list(frame["rank"]) == list(range(1, len(frame) + 1))
    assert json.loads((tmp_path / "results" / "cut" / "study.json").read_text())["state"] == "interrupted"
    assert "interrupted; go on with: python hpo/run.py --resume cut" in out
    assert err.endswith(f"go on with: hpo submit --address {three_nodes.url} -- --resume cut\n")


def test_stopping_a_job_from_elsewhere(three_nodes: LocalCluster, tmp_path: Path) -> None:
    done = three_nodes.run(three_nodes.submit("--detach", "--", *LONG, "--name", "stop"), tmp_path)
    job = job_of(done)
    follower = three_nodes.start(three_nodes.submit("--follow", job), tmp_path)
    wait_for(lambda: head_trials(three_nodes, "stop") >= 1, follower)
    done = three_nodes.run(three_nodes.submit("--stop", job), tmp_path)
    assert done.returncode == 0 and done.stdout.startswith(f"The job {job} is stopping.")
    follower.communicate(timeout=120)
    assert follower.returncode == 130 and len(pd.read_csv(tmp_path / "results" / "stop" / "trials.csv")) >= 1


def test_data_a_configuration_and_an_own_architecture_travel(
    three_nodes: LocalCluster, tmp_path: Path, mnist_dir: Path
) -> None:
    data = tmp_path / "set" / "MNIST" / "raw"
    data.mkdir(parents=True)
    for file in (mnist_dir / "MNIST" / "raw").glob("*ubyte*"):
        (data / file.name).symlink_to(file)
    (tmp_path / "pixels.py").write_text("COUNT = 784\n")
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mynets.py").write_text(
        "from torch import nn\nimport pixels\n\ndef net(input_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(pixels.COUNT, num_classes))\n"
    )
    (tmp_path / "own.toml").write_text('model = ["nets/mynets.py:net"]\ntrials = 2\nepochs = 1\ntrain_size = 500\n')
    line = ["--", "--config", "own.toml", "--data-dir", "set", "--name", "mnist", "--results-dir", "out"]
    done = three_nodes.run(three_nodes.submit(*line), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    frame = check_whole(tmp_path / "out" / "mnist", 2)
    assert set(frame["dataset"]) == {"mnist"} and set(frame["model"]) == {"nets/mynets.py:net"}
    assert "data_dir" not in json.loads((tmp_path / "out" / "mnist" / "study.json").read_text())["spec"]


def test_photos_and_a_network_of_torchvision_travel(three_nodes: LocalCluster, tmp_path: Path) -> None:
    folder_of_photos(tmp_path / "photos")
    network = "torchvision:shufflenet_v2_x0_5"
    line = f"--model {network} --dataset photos --image-size 32 --trials 2 --epochs 1 --final-seeds 1 --name photos"
    done = three_nodes.run(three_nodes.submit("--", *line.split()), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    folder = tmp_path / "results" / "photos"
    assert set(pd.read_csv(folder / "trials.csv")["model"]) == {network}
    assert pd.read_csv(folder / "leaderboard.csv")["test_accuracy_mean"].notna().all()
    description, _ = load_network(folder)
    assert description.input_shape == (3, 32, 32) and description.network == "final"


def test_the_exit_code_is_the_jobs(three_nodes: LocalCluster, tmp_path: Path) -> None:
    done = three_nodes.run(three_nodes.submit("--", *SHORT, "--cpus-per-trial", "9"), tmp_path)
    assert (done.returncode, done.stderr) == (2, "") and "hpo: --cpus-per-trial 9: there are" in done.stdout
    assert not (tmp_path / "results").exists()
    listed = three_nodes.run(three_nodes.hpo("jobs", "--address", three_nodes.url), tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    head, *jobs = listed.stdout.splitlines()
    assert head.split() == ["job", "run", "state", "started"] and jobs
    assert all(re.search(r" (succeeded|failed|stopped|running) +20\d\d-\d\d-\d\d \d\d:\d\d *$", job) for job in jobs)
    assert " failed " in jobs[-1]


@contextmanager
def proxy(port: int) -> Iterator[tuple[int, threading.Event]]:
    """A port that leads to `port` until the event is set; then connections end and none is taken."""
    cut, server = threading.Event(), socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    pairs: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def accept() -> None:
        while server.fileno() >= 0:
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if cut.is_set():
                client.close()
                continue
            other = socket.create_connection(("127.0.0.1", port))
            pairs.extend((client, other))
            for way in ((client, other), (other, client)):
                threading.Thread(target=pump, args=way, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()

    def watch() -> None:
        while server.fileno() >= 0:
            if cut.wait(0.1):
                for end in pairs:
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        continue
                pairs.clear()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield server.getsockname()[1], cut
    finally:
        server.close()


@pytest.mark.long
def test_a_connection_that_drops_is_taken_up_again(three_nodes: LocalCluster, tmp_path: Path) -> None:
    with proxy(three_nodes.dashboard_port) as (port, cut):
        line = shlex.split("--model lenet5 --trials 16 --epochs 9 --dataset digits --scheduler none --finalists 0")
        command = three_nodes.submit("--", *line, "--name", "dropped")
        command[2] = f"http://127.0.0.1:{port}"
        process = three_nodes.start(command, tmp_path)
        wait_for(lambda: head_trials(three_nodes, "dropped") >= 2, process)
        cut.set()
        time.sleep(5)
        cut.clear()
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, ""), (out, err)
    for number in range(1, 17):
        assert out.count(f"[{number}/16]") == 1  # each line once
    check_whole(tmp_path / "results" / "dropped", 16)


@pytest.mark.parametrize(("token", "words"), [("", "asks for a token"), ("f" * 64, "does not take this token")])
def test_a_wrong_token_is_one_line_at_once(three_nodes: LocalCluster, tmp_path: Path, token: str, words: str) -> None:
    environment = {**three_nodes.environment, "HOME": str(tmp_path), **({"RAY_AUTH_TOKEN": token} if token else {})}
    run = [str(Path(__file__).parents[2] / "hpo" / "run.py"), "--address", three_nodes.address, *SHORT]
    for command in (three_nodes.submit("--", *SHORT), run):
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        out, err = process.communicate(timeout=20)
        assert process.returncode == 2 and err.count("\n") == 1 and words in err, err
        assert out in ("", LOADING)
        assert "put the cluster's into ~/.ray/auth_token (chmod 600)" in err
    assert not (tmp_path / "results").exists()


def test_another_version_of_ray_is_named(three_nodes: LocalCluster, tmp_path: Path) -> None:
    class Old(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = json.dumps({"version": "4", "ray_version": "2.40.0", "ray_commit": "x"}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = three_nodes.submit("--", *SHORT)
        command[2] = f"http://127.0.0.1:{server.server_port}"
        done = three_nodes.run(command, tmp_path)
        server.shutdown()
    assert done.returncode == 2 and "the cluster there has Ray 2.40.0, this is Ray 2." in done.stderr
    fake = (
        "import os, sys; os.environ['RAY_AUTH_MODE'] = 'token'; import ray; ray.__version__ = '2.40.0'\n"
        "from hpo.run import main; sys.exit(main(sys.argv[1:]))"
    )
    joined = three_nodes.run(["-c", fake, "--address", three_nodes.address, *SHORT], Path(__file__).parents[2])
    assert joined.returncode == 2 and "the cluster there has Ray 2.60.0, this is Ray 2.40.0" in joined.stderr


@pytest.mark.long
def test_a_head_that_dies_leaves_what_had_come_back(two_nodes: LocalCluster, tmp_path: Path) -> None:
    """Last in line for its time: the client waits a minute for the head to come back."""
    process = two_nodes.start(two_nodes.submit("--", *LONG, "--name", "headless"), tmp_path)
    local = tmp_path / "results" / "headless"
    wait_for(lambda: len(read_journal(local / "trials.jsonl")) >= 2, process, 180)
    two_nodes.kill_head()
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, (out, err)
    have = len(read_journal(local / "trials.jsonl"))
    assert f"does not answer any more; {have} trials of its results in results/headless" in err, err
    two_nodes.down()
    (two_nodes.home / "podium-results").rename(tmp_path / "gone")  # the head's disk went with it
    two_nodes.up()
    line = two_nodes.submit("--", "--resume", "headless", "--time-budget", "12s")
    done = two_nodes.run(line, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_journal(local / "trials.jsonl")
    assert len(rows) > have and len({row["trial_id"] for row in rows}) == len(rows)
