"""Measures the reproduced systems: trains every recipe with several seeds, and compares with the published results.

Each run is a line of an append-only journal. The tables are made from it, so that no number is typed by hand.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Generator, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.networks.reproduction.baseline_run import BaselineRun, identity, train_baseline
from hpo.networks.reproduction.recipes import recipes
from hpo.networks.reproduction.remaining import remaining_s
from hpo.networks.reproduction.tables import markdown, table
from hpo.networks.training import resolve_device
from hpo.spec.commands.baselines import BaselinesSpec
from hpo.spec.settings import DataSpec
from hpo.store.journal import Journal, read_journal
from hpo.system.errors import UserError
from hpo.system.files import write_atomically
from hpo.system.text import say
from hpo.views.bars.runs_bar import RunsBar
from hpo.views.formats import percent, plural

if TYPE_CHECKING:
    import pandas as pd


def run_baselines(spec: BaselinesSpec) -> None:
    """Trains what the journal lacks, then writes and prints the tables.

    Raises UserError for a system, an architecture or a folder that cannot be used, and DataError for such a data set.
    """
    runs, path = _runs(spec), spec.stem.with_suffix(".jsonl")
    todo = runs if spec.again else missing(runs, path)
    begun = sum(run.unfinished.exists() for run in todo)
    before = f"{len(runs) - len(todo)} of them finished before{f', {begun} begun' if begun else ''}"
    print(f"{plural(len(runs), 'run')}, {before}: {path}", flush=True)
    if not (spec.yes or _agreed(todo)):
        print("nothing was trained; choose some with --system, --model or --max-epochs")
        return
    _train_all(todo, spec)
    for line in markdown(_write(spec.stem)).split("\n"):
        say(line)
    print(f"written to {spec.stem}.csv and {spec.stem}.md")


def _agreed(todo: list[BaselineRun]) -> bool:
    """Asks whether vgg16 on a CPU is meant, which takes days. Where nobody can answer, it is."""
    long = [run for run in todo if run.recipe.model == "vgg16" and run.device == "cpu"]
    if not (long and sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    epochs = plural(sum(run.epochs for run in long), "epoch")
    runs = plural(len(todo), "run")
    print(f"{runs}, with {epochs} of vgg16, which is slow on a CPU: its whole training takes days.")
    try:
        return input("Train them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def missing(runs: Iterable[BaselineRun], journal: Path) -> list[BaselineRun]:
    """The runs that are not in the journal, with at least as many epochs."""
    done: dict[tuple[Any, ...], int] = {}
    for row in read_journal(journal):
        done[identity(row)] = max(row["epochs"], done.get(identity(row), 0))
    return [run for run in runs if done.get(run.identity, 0) < run.epochs]


def _runs(spec: BaselinesSpec) -> list[BaselineRun]:
    data = DataSpec(dataset=spec.dataset, data_dir=spec.data_dir)
    device = resolve_device(spec.train.device)
    return [
        BaselineRun(
            recipe=recipe,
            seed=seed,
            epochs=min(recipe.train.epochs, spec.max_epochs or recipe.train.epochs),
            precision=spec.train.plain_precision,
            device=device,
            dataset=data.dataset,
            data_dir=data.directory,
            skip_broken=spec.skip_broken,
            out=spec.out,
        )
        for seed in range(spec.seeds)  # every recipe once: then it is known how long the others take
        for recipe in recipes(spec.system, spec.model)
    ]


def _train_all(todo: list[BaselineRun], spec: BaselinesSpec) -> None:
    """Trains the runs. Writes each row, and the tables, as soon as a run has finished."""
    try:
        spec.out.mkdir(parents=True, exist_ok=True)
        journal = Journal(spec.stem.with_suffix(".jsonl"))
        journal.lock()
    except BlockingIOError:
        raise UserError(f"--out {spec.out}: another hpo baselines is running there") from None
    except OSError as error:
        raise UserError(f"--out {spec.out}: cannot be written ({error.strerror})") from error
    # Closed explicitly: an error between two rows must end the processes at once.
    with closing(journal), closing(_rows(todo, spec.at_once)) as rows, RunsBar(len(todo)) as bar:
        for row in rows:
            journal.append(row)
            _write(spec.stem)
            for run in (run for run in todo if run.identity == identity(row)):
                run.unfinished.unlink(missing_ok=True)
            todo = [run for run in todo if run.identity != identity(row)]
            bar.finished(_summary(row), remaining_s(todo, read_journal(journal.path), spec.at_once))


def _summary(row: dict[str, Any]) -> str:
    accuracy = row.get("error") or f"test accuracy {percent(row['test_accuracy'], digits=2)}"
    what = f"{row['system']} {row['model']} seed {row['seed']}"
    return f"{what}: {accuracy}, {plural(row['epochs'], 'epoch')}, {row['minutes']:.1f} min"


def _rows(todo: list[BaselineRun], at_once: int) -> Generator[dict[str, Any], None, None]:
    if at_once == 1:
        yield from map(train_baseline, todo)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn, initializer=_leave_signals_to_parent) as pool:
        try:
            for done in as_completed([pool.submit(train_baseline, run) for run in todo]):
                yield done.result()
        except BaseException:
            # Ctrl-C, or a run's error: the other runs may take hours, and nobody would see their results.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write(stem: Path) -> pd.DataFrame:
    """Writes both tables from the journal."""
    frame = table(read_journal(stem.with_suffix(".jsonl")))
    write_atomically(stem.with_suffix(".csv"), frame.to_csv(index=False))
    write_atomically(stem.with_suffix(".md"), markdown(frame))
    return frame
