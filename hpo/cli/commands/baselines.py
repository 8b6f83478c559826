"""`hpo baselines`: published results of the reproduced systems, compared with measured ones."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hpo.cli.command import run_command
from hpo.networks.recipes import recipes
from hpo.spec.checks import at_least
from hpo.spec.settings import MANY, SWITCH, DataSpec, TrainSpec
from hpo.store.journal import Journal, read_journal
from hpo.system.errors import UserError
from hpo.system.files import write_atomically
from hpo.system.text import say
from hpo.views.formats import percent, plural

if TYPE_CHECKING:
    import pandas as pd

    from hpo.networks.baselines import BaselineRun


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BaselinesSpec:
    """Which recipes are trained, how often, and where the tables go."""

    system: str | None = None
    """The system to reproduce: A, B, C, D, E or P. [default: all]"""
    model: Annotated[tuple[str, ...], MANY] = ()
    """Only these architectures of the system. [default: all]"""
    seeds: int = 3
    """Number of runs per recipe. They use the seeds 0, 1, 2, ..."""
    max_epochs: int | None = None
    """Limits the epochs of a run. A table row with fewer epochs than the recipe says so. [default: the recipe's]"""
    jobs: int = 1
    """Number of runs at the same time. Each has a process with one thread."""
    again: Annotated[bool, SWITCH] = False
    """Repeats runs that have finished before."""
    dataset: str = "mnist"
    """The data set. The published results are for mnist. With another one, the files are called baselines-NAME."""
    data_dir: Path | None = None
    """The folder of the data sets. Missing ones are downloaded to it. [default: $PODIUM_DATA_DIR, or data]"""
    train: Annotated[TrainSpec, Parameter(name="*")] = field(default_factory=TrainSpec)
    out: Path = Path("results/reference")
    """The folder for baselines.jsonl (one line per run), baselines.csv and baselines.md."""

    def __post_init__(self) -> None:
        at_least("--seeds", self.seeds, 1)
        at_least("--max-epochs", self.max_epochs, 1)
        at_least("--jobs", self.jobs, 1)
        if self.dataset == "auto":
            raise UserError("--dataset auto: name the data set; choose from mnist, fashion-mnist, digits")

    @property
    def stem(self) -> Path:
        """The path of the files, without their suffix."""
        return self.out / ("baselines" if self.dataset == "mnist" else f"baselines-{Path(self.dataset).stem}")


def main(argv: Sequence[str]) -> int:
    """Runs `hpo baselines ...`; returns its exit code."""
    return run_command("baselines", _baselines, argv)


def _baselines(*, spec: Annotated[BaselinesSpec, Parameter(name="*")] = BaselinesSpec()) -> None:
    """Trains the recipes of the reproduced systems, and compares the results with the published ones.

    Every run is saved when it ends. The same command continues where an earlier one was stopped.
    """
    from hpo.networks.baselines import markdown, missing

    runs, path = _runs(spec), spec.stem.with_suffix(".jsonl")
    todo = runs if spec.again else missing(runs, path)
    print(f"{plural(len(runs), 'run')}, {len(runs) - len(todo)} of them finished before: {path}", flush=True)
    _train(todo, spec)
    for line in markdown(_write(spec.stem)).split("\n"):
        say(line)
    print(f"written to {spec.stem}.csv and {spec.stem}.md")


def _runs(spec: BaselinesSpec) -> list[BaselineRun]:
    from hpo.networks.baselines import BaselineRun
    from hpo.networks.training import resolve_device

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
        )
        for recipe in recipes(spec.system, spec.model)
        for seed in range(spec.seeds)
    ]


def _train(todo: list[BaselineRun], spec: BaselinesSpec) -> None:
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
    with closing(journal), closing(_rows(todo, spec.jobs)) as rows:
        for number, row in enumerate(rows, 1):
            journal.append(row)
            _write(spec.stem)
            say(f"[{number}/{len(todo)}] {_summary(row)}")


def _summary(row: dict[str, Any]) -> str:
    accuracy = row.get("error") or f"test accuracy {percent(row['test_accuracy'], digits=2)}"
    what = f"{row['system']} {row['model']} seed {row['seed']}"
    return f"{what}: {accuracy}, {plural(row['epochs'], 'epoch')}, {row['minutes']:.1f} min"


def _rows(todo: list[BaselineRun], at_once: int) -> Generator[dict[str, Any], None, None]:
    from hpo.networks.baselines import train_baseline

    if at_once == 1:
        yield from map(train_baseline, todo)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn, initializer=_leave_signals_to_parent) as pool:
        try:
            for done in as_completed([pool.submit(train_baseline, run) for run in todo]):
                yield done.result()
        except (
            BaseException
        ):  # Ctrl-C, or a run's error: the other runs may take hours, and nobody would see their results
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write(stem: Path) -> pd.DataFrame:
    """Writes both tables from the journal."""
    from hpo.networks.baselines import markdown, table

    frame = table(read_journal(stem.with_suffix(".jsonl")))
    write_atomically(stem.with_suffix(".csv"), frame.to_csv(index=False))
    write_atomically(stem.with_suffix(".md"), markdown(frame))
    return frame
