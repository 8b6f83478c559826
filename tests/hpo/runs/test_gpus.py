"""Trials on the GPUs of a machine that has none: Ray is told of four, and each trial says which it was given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.runs import ROOT

NOTING = """
import json, os, time
from pathlib import Path

from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layer, self.began = nn.Linear(784, num_classes), time.time()

    def forward(self, x):
        time.sleep(1.0)  # long enough for all others to begin
        entry = {"pid": os.getpid(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "at": [self.began, time.time()]}
        Path(__file__).with_name(f"{os.getpid()}-{self.began}.json").write_text(json.dumps(entry))
        return self.layer(x.flatten(1))
"""

# Everything of a run but the device: the trials are on the CPU, their shares of GPUs are Ray's to keep.
SEARCH = """
import sys, threading
from dataclasses import replace
from pathlib import Path

import ray

from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.views.estimate import Work
from hpo.store.run_folder import create
from hpo.system.interrupt import interruptible
from hpo.session.preflight.planning import preflight
from hpo.session.preflight.resources import Available, choose_concurrency
from hpo.spec.resources import ResourceSpec
from hpo.views.progress import Progress
from hpo.search.tuning import run_search
from hpo.spec.study import StudySpec

model, share, trials, fuse, folder = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5])
lanes = int(fuse) if fuse.isdigit() else fuse
plan = preflight(StudySpec.of(model=model, trials=trials, epochs=1, dataset="digits", train_size=600, fuse=lanes))
room, _ = choose_concurrency(ResourceSpec(gpus_per_trial=share), "cuda", share, Available(16, 4))
plan = replace(plan, gpus_per_trial=share, concurrency=room)
ray.init(address="local", num_cpus=16, num_gpus=4, include_dashboard=False, log_to_driver=False)
run = create(folder, "a", {"spec": {}})
with interruptible() as interrupted:
    checkpoints = Checkpoints(FolderStorage(run.checkpoints))
    records = run_search(plan, run, checkpoints, [Progress(Work(trials, 1))], interrupted)
print("RESULT", room, sorted(record.state.value for record in records))
for record in records:
    print(record.group_size, record.retries, record.error)
"""

# Needs more memory than half a GPU, or than two lanes of a whole one, have.
GREEDY = """
import ray, torch
from torch import nn


def net(input_shape, num_classes):
    share = ray.get_runtime_context().get_assigned_resources().get("GPU", 1) if ray.is_initialized() else 1
    if share < 0.5:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))
"""


def search(tmp_path: Path, model: str, share: float, trials: int, fuse: str = "off") -> list[str]:
    """What `SEARCH` prints in the end."""
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}, '']\n{SEARCH}"]
    arguments = [model, str(share), str(trials), fuse, str(tmp_path / "r")]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.partition("RESULT ")[2].splitlines()


@pytest.mark.parametrize(
    ("share", "trials", "room"),
    [pytest.param(0.5, 12, 8, marks=pytest.mark.slow), pytest.param(2.0, 4, 2, marks=pytest.mark.long)],
)
def test_trials_spread_over_all_gpus_and_none_is_given_out_twice(
    share: float, trials: int, room: int, tmp_path: Path
) -> None:
    (tmp_path / "noting.py").write_text(NOTING)
    said, *_ = search(tmp_path, "noting:Net", share, trials)
    assert said == f"{room} {['completed'] * trials}"
    written = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    entries = [entry for entry in written if entry["gpus"]]  # the driver looks at the network, too
    assert len(entries) == trials and len({entry["pid"] for entry in entries}) == room
    given = [(entry["gpus"].split(","), *entry["at"]) for entry in entries]
    assert {gpu for gpus, *_ in given for gpu in gpus} == {"0", "1", "2", "3"}
    assert all(len(set(gpus)) == max(1, share) for gpus, *_ in given)
    busiest = max(sum(began <= at < ended for _, began, ended in given) for _, at, _ in given)
    assert busiest == room  # as many at once as there is room for
    for _, at, _ in given:
        used = Counter(gpu for gpus, began, ended in given if began <= at < ended for gpu in gpus)
        assert max(used.values()) * min(1.0, share) <= 1


@pytest.mark.slow
def test_a_trial_that_runs_out_of_memory_is_run_again_with_a_larger_share(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(GREEDY)
    said, *rows = search(tmp_path, "greedy:net", 0.25, 3)
    assert said == "12 ['completed', 'completed', 'completed']" or said.endswith(
        "['completed', 'completed', 'completed']"
    )
    assert rows == ["1 1 out of memory on 0.25 GPUs, run again on 0.5 GPUs"] * 3


@pytest.mark.long
def test_arrays_have_their_share_too(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(GREEDY)
    said, *rows = search(tmp_path, "greedy:net", 1.0, 6, "3")
    assert said == "4 ['completed', 'completed', 'completed', 'completed', 'completed', 'completed']"
    assert rows == ["3 0 "] * 6
