"""A study with everything resolved: what will run, on which data, with what resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.spec.spaces import Space
from hpo.spec.study import StudySpec
from hpo.trials.ranking import RankBy
from trainers.data.dataset import Dataset

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

SHARED_ATTR = "podium_shared"  # a study's attribute


@dataclass(frozen=True)
class ModelPlan:
    """One architecture: its space, its parameter count for this data set, float32 or bf16, and how many of its trials
    are trained as one network."""

    name: str
    space: Space
    parameters: int
    precision: str = "float32"
    lanes: int = 1


@dataclass(frozen=True)
class Plan:
    """A spec with everything resolved: what will run, on what, how many at once."""

    spec: StudySpec
    dataset: Dataset
    models: tuple[ModelPlan, ...]
    device: str
    gpus_per_trial: float
    concurrency: int
    cpus: int
    storage: RDBStorage | None
    notices: tuple[str, ...]

    @property
    def rank_by(self) -> RankBy:
        """How its trials are ranked."""
        finals = self.spec.finals
        images = len(self.dataset.training.validation) if finals.one_standard_error else None
        return RankBy.of(finals.rank_by, images, self.spec.search.objective)

    @property
    def most_lanes(self) -> int:
        return max(model.lanes for model in self.models)

    @property
    def places(self) -> int:
        """Trials, or arrays of fused ones, that are ever at work at once."""
        return min(self.concurrency, -(-self.spec.search.trials // self.most_lanes))

    @property
    def total_trials(self) -> int:
        return self.spec.search.trials * len(self.models)


def shared_by_drivers(plan: Plan, model: ModelPlan) -> dict[str, Any]:
    """What all drivers of a study must agree on, as plain values."""
    return {
        "space": {key: str(distribution) for key, distribution in model.space.distributions.items()},
        "epochs": plan.spec.search.epochs,
        "data": dict(plan.dataset.hashes),
        "precision": model.precision,
        "objective": list(plan.spec.search.objective),
    }


def study_name(plan: Plan, model: ModelPlan, run: str) -> str:
    """Of the architecture's study: in a run's own study.db the architecture's, in a shared storage RUN/MODEL, or
    STUDY/MODEL for one that several drivers work on."""
    return f"{plan.spec.search.study or run}/{model.name}" if plan.spec.search.storage else model.name
