"""A study with everything resolved: what will run, on which data, with what resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.spec.spaces.guess import Guess
from hpo.spec.spaces.search_space import Space
from hpo.spec.spaces.stored import describe
from hpo.spec.study import StudySpec
from hpo.system.text import printable
from hpo.trials.metric import ACCURACY
from hpo.trials.ranking import RankBy
from trainers.data.dataset import Dataset

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage

SHARED_ATTR = "podium_shared"  # the attribute of a study that holds what its drivers agree on


@dataclass(frozen=True)
class ModelPlan:
    """One architecture of a study."""

    name: str
    space: Space
    """Its hyperparameters: what they may be, and the first trial's."""
    parameters: int
    """Its parameter count for this data set, with the first trial's hyperparameters."""
    precision: str = "float32"
    """float32 or bf16."""
    group_size: int = 1
    """How many of its trials are trained as one network."""
    guesses: tuple[Guess, ...] = ()
    """What the sampler is told before the first trial."""
    first_configs: tuple[dict[str, Any], ...] = ()
    """The first trials, in this order; the space's default configuration alone where there are none."""

    def space_lines(self) -> list[str]:
        """Its space, a line for each hyperparameter."""
        entries = self.space.distributions.items()
        wide = max((len(key) for key in self.space.distributions), default=0) + 1
        lines = [f"  {key:<{wide}} {describe(values)}{self._first(key, values)}" for key, values in entries]
        return [f"space of {self.name}:", *lines, *self._first_trials()]

    def _first(self, key: str, values: BaseDistribution) -> str:
        return "" if values.single() else f"  (first trial: {_short(self.space.default[key])})"

    def _first_trials(self) -> list[str]:
        """The first trials after the default configuration, a line for each."""
        searched = self.space.searched
        values = [", ".join(f"{key} {_short(config[key])}" for key in searched) for config in self.first_configs[1:]]
        return [f"  trial {number}: {text}" for number, text in enumerate(values, start=1)]


@dataclass(frozen=True, repr=False)
class Plan:
    """A spec with everything resolved: what will run, on what, how many at once. `print(plan)` shows all of it."""

    spec: StudySpec
    dataset: Dataset
    models: tuple[ModelPlan, ...]
    device: str
    """cpu, cuda or mps."""
    gpus_per_trial: float
    concurrency: int
    """Trials, or groups of fused ones, that the resources hold at once."""
    cpus: int
    """Of this machine, or of the cluster."""
    storage: RDBStorage | None
    """The database that --storage names; None for the run's own, and in a plan that is only looked at."""
    notices: tuple[str, ...]
    """What a user may not expect, such as architectures that are left out."""

    def __repr__(self) -> str:
        return "\n".join(map(printable, self.lines(spaces=True)))

    def lines(self, *, spaces: bool) -> list[str]:
        """What will run, on what data, with which search, on what; and where asked for, each architecture's space."""
        banner = [
            *(f"note: {notice}" for notice in self.notices),
            f"models:  {', '.join(f'{m.name} ({m.parameters:,} parameters)' for m in self.models)}",
            f"trials:  {self._search()}",
            f"data:    {self.dataset}",
            f"runs on: {self._resources()}",
        ]
        return [*banner, *(line for model in self.models if spaces for line in model.space_lines())]

    @property
    def rank_by(self) -> RankBy:
        """How its trials are ranked."""
        finals = self.spec.finals
        images = len(self.dataset.training.validation) if finals.one_standard_error else None
        search = self.spec.search
        return RankBy.of(finals.rank_by, images, search.objective, search.metric)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether all its workers run here."""
        return self.spec.resources.address is None

    @property
    def max_group_size(self) -> int:
        return max(model.group_size for model in self.models)

    @property
    def parallel_groups(self) -> int:
        """Trials, or groups of fused ones, that are ever at work at once."""
        return min(self.concurrency, -(-self.spec.search.trials // self.max_group_size))

    @property
    def total_trials(self) -> int:
        return self.spec.search.trials * len(self.models)

    @property
    def at_once(self) -> str:
        """ "2 trials", or "1 group of up to 16 trials"."""
        return at_once(self.parallel_groups, self.max_group_size)

    def _search(self) -> str:
        search = self.spec.search
        each = f" ({search.trials} for each of {len(self.models)})" if len(self.models) > 1 else ""
        objective = f", for {' and '.join(search.objective)}" if search.objective != (ACCURACY,) else ""
        budget = f", within {search.time_budget}" if search.time_budget else ""
        epochs = f"{search.epochs} epoch{'s' if search.epochs > 1 else ''}"
        parts = f"{self.total_trials}{each}, {epochs}, {search.sampler}{objective}"
        return f"{parts}, {self._early_stopping()}{budget}"

    def _early_stopping(self) -> str:
        search = self.spec.search
        if not search.rungs:
            return "no early stopping"
        epochs = f"epoch{'s' if len(search.rungs) > 1 else ''} {', '.join(map(str, search.rungs))}"
        return f"asha: the best quarter goes on after {epochs}"

    def _resources(self) -> str:
        resources = self.spec.resources
        workers = resources.workers_per_trial
        spread = f"{workers} workers each, with " if workers > 1 else ""
        gpu = f" and {self.gpus_per_trial:g} GPU" if self.gpus_per_trial else ""
        each = f"{spread}{resources.cpus_per_trial} CPU{gpu} each"
        return f"{self.at_once} at once, {each}, {self._precisions()} on {self.device}"

    def _precisions(self) -> str:
        """ "float32", or "bf16 (cnn), float32 (mlp, lenet5)"."""
        by: dict[str, list[str]] = {}
        for model in self.models:
            by.setdefault(model.precision, []).append(model.name)
        return next(iter(by)) if len(by) == 1 else ", ".join(f"{name} ({', '.join(of)})" for name, of in by.items())


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shared_by_drivers(plan: Plan, model: ModelPlan) -> dict[str, Any]:
    """What all drivers of a study must agree on, as plain values."""
    return {
        "space": model.space.texts(),
        "epochs": plan.spec.search.epochs,
        "data": dict(plan.dataset.hashes),
        "precision": model.precision,
        "objective": list(plan.spec.search.objective),
        **({"metric": plan.spec.search.metric} if plan.spec.search.metric != ACCURACY else {}),
    }


def study_name(plan: Plan, model: ModelPlan, run: str) -> str:
    """The name of the architecture's study: in a run's own study.db the architecture's, in a shared storage RUN/MODEL,
    or STUDY/MODEL for one that several drivers work on."""
    return f"{plan.spec.search.study or run}/{model.name}" if plan.spec.search.storage else model.name


def at_once(count: int, size: int) -> str:
    """ "2 trials", or "1 group of up to 16 trials": what a search has at work at once."""
    plural = "s" if count > 1 else ""
    return f"{count} group{plural} of up to {size} trials" if size > 1 else f"{count} trial{plural}"
