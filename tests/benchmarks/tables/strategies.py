"""The searches that are compared on the tables, one trial at a time.

To add one, write a function with the arguments of `podium` and add a line to `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import optuna
from ray.tune.schedulers import AsyncHyperBandScheduler

from hpo.search.samplers.choice import make_sampler, seed_sampler
from hpo.trials.asha import rungs
from hpo.trials.ladder import Ladder
from hpo.trials.messages import REPORTS, REQUEST
from tests.benchmarks.lcbench.runs import Run
from tests.benchmarks.lcbench.samplers import OptunaSampler
from tests.benchmarks.lcbench.simulator import History, Verdict
from tests.benchmarks.lcbench.stopping import TuneStopping
from tests.benchmarks.tables.pool import Config, Pool, PoolSampler
from tests.benchmarks.tables.tables import EPOCHS, Table
from tests.helpers.reports import report
from tests.helpers.searching import make_searcher

# Searches a table with a number of trials and a seed. The configurations are those of the first trials.
Strategy = Callable[[Table, Sequence[Config], int, int], History]
RUNGS = rungs(EPOCHS)
# Begin with the built-in portfolio as it would be without this data set: of the table's own architecture, or of others.
PORTFOLIOS = {"podium-portfolio": True, "podium-portfolio-of-others": False}


class Training:
    """Looks up what trials reach, and writes down what is known after each epoch.

    What counts as found is the accuracy after the last epoch: the values before it belong to an unfinished training.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool, self.history = pool, History()
        self.curves = 100 * pool.table.by_epoch()

    def train(self, config: Config, epoch: int) -> float:
        """Trains a configuration for one more epoch, number `epoch`. Returns its accuracy, in percent."""
        number, history = self.pool.number(config), self.history
        accuracy = float(self.curves[number, epoch - 1])
        history.seconds.append((history.seconds or [0.0])[-1] + float(self.pool.table.seconds[number]))
        history.best.append(max((history.best or [0.0])[-1], accuracy if epoch == EPOCHS else 0.0))
        return accuracy

    def end(self) -> History:
        """Returns what was found, when no trial is left."""
        self.history.ends.append(len(self.history.best))
        return self.history


def podium(
    table: Table,
    first: Sequence[Config],
    trials: int,
    seed: int,
    sampler: str = "auto",
    stops: Sequence[int] = RUNGS,
) -> History:
    """Podium's own searcher, with its sampler and its rungs."""
    pool, study = Pool(table), optuna.create_study(study_name=table.architecture, direction="maximize")
    seed_sampler(study, sampler, seed, stops)
    study.sampler = PoolSampler(study.sampler, pool, first)
    searcher = make_searcher(study, pool.space, trials, ladder=Ladder(stops))
    training, curves, count = Training(pool), dict[str, list[float]](), 0
    while isinstance(handed_out := searcher.suggest(str(count)), dict):
        (request,) = handed_out[REQUEST].trials
        curve = curves.setdefault(request.trial_id, [])
        state = "running"
        while state == "running":
            curve.append(training.train(request.params, len(curve) + 1))
            epoch = len(curve)
            state = "completed" if epoch == EPOCHS else "paused" if epoch in request.pauses_at else "running"
            said = report(
                state, (epoch, curve[-1] / 100), best=max(curve) / 100, epochs=epoch, trial_id=request.trial_id
            )
            tell = searcher.on_trial_result if state == "running" else searcher.on_trial_complete
            tell(str(count), {REPORTS: [said]})
        count += 1
    assert searcher.fault is None
    return training.end()


def without_recipe(table: Table, first: Sequence[Config], trials: int, seed: int) -> History:
    """Podium, if it began like other searches: with a random configuration."""
    return podium(table, first[1:], trials, seed)


def asha(table: Table, first: Sequence[Config], trials: int, seed: int, sampler: str, grace_period: int = 1) -> History:
    """A sampler, and ASHA as Tune has it: what it stops never goes on."""
    pool = Pool(table)
    drawing = OptunaSampler(pool.space, PoolSampler(make_sampler(sampler, seed, RUNGS), pool, first), seed)
    rule = TuneStopping(
        AsyncHyperBandScheduler(
            time_attr="epochs", metric="value", mode="max", max_t=EPOCHS, grace_period=grace_period, reduction_factor=3
        )
    )
    training = Training(pool)
    for trial in range(trials):
        config, verdict, epoch = drawing.ask(trial), Verdict.CONTINUE, 0
        while verdict is Verdict.CONTINUE:
            epoch += 1
            accuracy = training.train(config, epoch)
            drawing.report(trial, epoch, accuracy)
            verdict = Verdict.COMPLETE if epoch == EPOCHS else rule.judge(trial, epoch, accuracy)
        drawing.end(trial, verdict)
    return training.end()


STRATEGIES: dict[str, Strategy] = {
    "podium": podium,
    **dict.fromkeys(PORTFOLIOS, podium),
    "podium-tpe": partial(podium, sampler="tpe"),
    "podium-random": partial(podium, sampler="random"),
    "podium-without-recipe": without_recipe,
    "podium-without-promotion": partial(asha, sampler="auto", grace_period=RUNGS[0]),
    "podium-without-stopping": partial(podium, stops=()),
    "random": partial(asha, sampler="random"),
    "tpe": partial(asha, sampler="tpe"),
}


def parse(label: str, trials: int) -> tuple[str, int]:
    """Returns the name and the trials of a strategy. label: NAME, or NAME:TRIALS with trials of its own."""
    name, _, own = label.partition(":")
    return name, int(own or trials)


def run(label: str, table: Table, trials: int, seed: int, after_recipe: Sequence[Config] = ()) -> Run:
    """One search of a table, which begins with the recipe. label: as for `parse`."""
    name, count = parse(label, trials)
    history = STRATEGIES[name](table, [table.space.default, *after_recipe], count, seed)
    return Run.of(table.name, label, seed, history)
