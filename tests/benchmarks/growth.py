"""What a trial costs the driver as a study grows: searcher, journal, records, trials.csv, with recorded curves.

No trial trains and no Ray runs: the driver's own code is fed what five epochs of a trial would report. The sampler's
ask stands on lines of its own, because TPE's grows by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hpo.trials.messages import REPORTS, TrialReport
from hpo.trials.records import TrialState
from tests.benchmarks.table import Row, row
from tests.helpers.reports import epoch as an_epoch
from tests.helpers.searching import asked, make_searcher

SIZES, WINDOW, EPOCHS = (100, 1_000, 10_000), 50, 5


def drive(trials: int) -> dict[int, tuple[float, float]]:
    """Runs a study of `trials`; for each of SIZES the seconds per trial of the trials before it, and the MB that the
    process has grown by.

    The end of a run, its ranking and files, is shared out over all trials.
    """
    from hpo.search.recorder import Recorder, ReportRecorder, SharedColumns
    from hpo.search.samplers.choice import seed_sampler
    from hpo.spec.spaces.search_space import search_space
    from hpo.spec.study import StudySpec
    from hpo.store.checkpoint_stores import FolderStorage
    from hpo.store.checkpoints import Checkpoints
    from hpo.store.csv_tables import LiveTrials, curves_frame, leaderboard_frame, trials_frame
    from hpo.store.database.memory_study import read_into_memory
    from hpo.store.database.study_db import open_storage, open_study, quiet_optuna
    from hpo.store.journal import Journal
    from hpo.system.files import write_atomically
    from hpo.trials.ranking import rank
    from hpo.views.estimate import Work
    from hpo.views.progress import Progress

    space = search_space("cnn", StudySpec.of(model="cnn").search)
    found: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name, quiet_optuna():
        folder = Path(name)
        storage = open_storage(f"sqlite:///{folder}/study.db")
        study = read_into_memory(open_study(storage, "cnn", resume=False), storage)
        seed_sampler(study, "random", 0)
        records: list[Any] = []
        recorder = Recorder(
            records,
            Journal(folder / "trials.jsonl"),
            Checkpoints(FolderStorage(folder / "checkpoints")),
            [LiveTrials(folder / "trials.csv", records), Progress(Work(trials, EPOCHS))],
        )
        columns = SharedColumns(
            model="cnn", parameters=429_258, dataset="mnist", precision="float32", metric="accuracy", seed=0
        )
        searcher = make_searcher(study, space.distributions, trials, ReportRecorder(recorder, columns))
        window, before = [time.perf_counter()], _memory()
        for number in range(trials):
            _one_trial(searcher, number)
            window.append(time.perf_counter())
            if number + 1 in SIZES:
                last = window[-min(len(window), max(WINDOW, number // 10)) :]
                memory = _memory() - before
                began = time.perf_counter()
                ranked = rank(records)
                for frame in (trials_frame(ranked), curves_frame(records), leaderboard_frame(ranked)):
                    write_atomically(folder / "table.csv", frame.to_csv(index=False))
                end = time.perf_counter() - began
                found[number + 1] = (last[-1] - last[0]) / (len(last) - 1) + end / (number + 1), memory
        assert searcher.fault is None and len(records) == trials
    return found


def _memory() -> float:
    """MB that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _one_trial(searcher: Any, number: int) -> None:
    name = str(number)
    (request,) = asked(searcher, name)
    for epoch in range(1, EPOCHS + 1):
        accuracy = 0.9 + epoch / 100 - (number % 97) / 1000
        report = TrialReport(
            trial_id=request.trial_id,
            state=TrialState.COMPLETED if epoch == EPOCHS else TrialState.RUNNING,
            parameters=429_258,
            epochs=epoch,
            best_epoch=epoch,
            val_accuracy=accuracy,
            val_loss=0.1,
            train_accuracy=accuracy,
            train_loss=0.1,
            wall_time_s=1.1 * epoch,
            curve=(an_epoch(epoch, accuracy, images=55_000),),
        )
        searcher.on_trial_result(name, {REPORTS: [report]})
    searcher.on_trial_complete(name, None)


def ask(sampler: str, trials: int) -> float:
    """Seconds of one ask of a study that holds `trials` trials, in memory."""
    import optuna
    from optuna.trial import create_trial

    from hpo.search.samplers.choice import seed_sampler
    from hpo.search.samplers.threads import one_thread
    from hpo.spec.spaces.search_space import search_space
    from hpo.spec.study import StudySpec

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = search_space("cnn", StudySpec.of(model="cnn").search).distributions
    source = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study = optuna.create_study(direction="maximize")
    configurations = [source.ask(fixed_distributions=space).params for _ in range(100)]
    study.add_trials(
        [create_trial(params=configurations[n % 100], distributions=space, value=n % 97 / 97) for n in range(trials)]
    )
    seed_sampler(study, sampler, 0)
    study.ask(fixed_distributions=space)
    began = time.perf_counter()
    for _ in range(10):
        with one_thread():
            study.ask(fixed_distributions=space)
    return (time.perf_counter() - began) / 10


def measure(repetitions: int, largest: int, say: Callable[[str], None]) -> Iterator[Row]:
    """Each repetition in a process of its own, for its memory."""
    runs = []
    for _ in range(repetitions):
        command = [sys.executable, "-m", "tests.benchmarks.growth", str(largest)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        runs.append({int(size): values for size, values in json.loads(done.stdout.splitlines()[-1]).items()})
        say(f"driver: {runs[-1]}")
    sizes = [size for size in SIZES if size <= largest]
    for size in sizes:
        yield row("growth", f"{size} trials", "driver", "seconds per trial", [run[size][0] for run in runs])
        yield row("growth", f"{size} trials", "driver", "MB of memory", [run[size][1] for run in runs])
    if largest >= 10_000:
        ratios = [run[10_000][0] / run[1_000][0] for run in runs]
        yield row("growth", "10000 trials", "driver", "times the seconds per trial at 1000", ratios)
    for sampler in ("auto", "random", "tpe"):
        for size in sizes:
            values = [ask(sampler, size) for _ in range(repetitions)]
            yield row("growth", f"{size} trials", f"ask, {sampler}", "seconds per trial", values)


if __name__ == "__main__":
    print(json.dumps(drive(int(sys.argv[1]))))
