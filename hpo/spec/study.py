"""`StudySpec`: everything a user can ask for, as frozen dataclasses.

The command line's flags, the keys of a --config file and the spec kept in study.json are all generated from
these fields; the text under a field is its help. A spec is validated once, when it is made: a wrong value
raises UserError with the flag, the value and the choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from hpo.spec.checks import choice
from hpo.spec.groups import GROUPS, Setting, all_settings
from hpo.spec.output import FinalsSpec, OutputSpec
from hpo.spec.python_values import architecture, assignments, configurations
from hpo.spec.resources import ResourceSpec
from hpo.spec.resuming import stored_settings
from hpo.spec.search import SearchSpec
from hpo.spec.settings import DataSpec, TrainSpec, check_stream
from hpo.store.trust import check_named
from hpo.system.errors import UserError
from hpo.trials.metric import ACCURACY
from hpo.trials.ranking import RankBy
from trainers.data.names import is_function


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A whole run: groups of settings, each with working defaults."""

    search: SearchSpec = field(default_factory=SearchSpec)
    data: DataSpec = field(default_factory=DataSpec)
    train: TrainSpec = field(default_factory=TrainSpec)
    resources: ResourceSpec = field(default_factory=ResourceSpec)
    finals: FinalsSpec = field(default_factory=FinalsSpec)
    output: OutputSpec = field(default_factory=OutputSpec)

    def __post_init__(self) -> None:
        metric = self.search.metric
        RankBy.of(self.finals.rank_by, metric=metric)
        if self.finals.one_standard_error and metric != ACCURACY:
            raise UserError(f"--one-standard-error: is for the metric accuracy; leave it out with --metric {metric}")
        trainer, resources = self.search.trainer, self.resources
        if trainer and (isinstance(resources.fuse, int) or resources.workers_per_trial > 1):
            flag = "--fuse" if isinstance(resources.fuse, int) else "--workers-per-trial"
            raise UserError(f"{flag}: is for Podium's own training; leave it out with --trainer {trainer}")
        if self.data.stream:
            check_stream(trainer)
            if isinstance(resources.fuse, int):
                raise UserError(f"--fuse {resources.fuse}: fused trials share their images; leave it out with --stream")

    @property
    def own_functions(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The flags, with their values, that name functions of the user's own: code, which runs only if named."""
        data = (("--dataset", (self.data.dataset,)),) if is_function(self.data.dataset) else ()
        return (*self.search.own_functions, *data)

    @classmethod
    def of(cls, **settings: Any) -> StudySpec:
        """A spec from settings named like the flags: `StudySpec.of(model="cnn", trials=20, set={"lr": 0.01})`.

        `set` and `prior` take a dict of values; `range` one of (low, high), (low, high, "log") and lists of choices;
        `enqueue` a list of configurations as dicts.
        `model` takes a class or function of a module, too. None is as good as nothing said.
        With `resume`, what is not said is as the run began; an architecture MODULE:NAME of it must be said. Raises
        UserError for a name that is no setting, a wrong value, or a run that cannot be resumed.
        """
        settings = {key: value for key, value in settings.items() if value is not None}
        if not isinstance(settings.get("dataset", ""), str | Path):
            settings["dataset"] = _kept(settings["dataset"], settings.get("data_dir"))
        said = cls._made({key: settings[key] for key in _TRUSTS if key in settings})
        if not said.output.resume:
            return cls._made(settings)
        spec = cls._made({**stored_settings(said.output.results_dir, said.output.resume), **settings})
        check_code(said.output.resume, spec, said)
        return spec

    @classmethod
    def _made(cls, settings: Mapping[str, Any]) -> StudySpec:
        known = {setting.key: setting for setting in all_settings()}
        groups: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            choice("setting", key, tuple(known))
            setting = known[key]
            groups.setdefault(setting.group, {})[setting.field] = _coerced(setting, value)
        return cls(**{group: GROUPS[group](**values) for group, values in groups.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain values by flag name (--train-size: train_size), without those that are not set."""
        values = {one.key: getattr(getattr(self, one.group), one.field) for one in all_settings()}
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in plain.items()
            if value is not None and value is not False and value not in ((), {})
        }


# What an editor completes: the settings as keyword arguments.
StudySpec.of.__func__.__signature__ = Signature(  # type: ignore[attr-defined]
    [Parameter("cls", Parameter.POSITIONAL_ONLY)]
    + [Parameter(setting.key, Parameter.KEYWORD_ONLY, default=None) for setting in all_settings()]
)

_TRUSTS = (
    "resume",
    "results_dir",
    "model",
    "dataset",
    "metric",
    "loss",
    "trainer",
    "set",
    "range",
)  # settings that may name code


def check_code(name: str, spec: StudySpec, said: StudySpec) -> None:
    """Raises UserError unless the user has `said` all code of their own that the run to resume names."""
    check_named(name, spec.search.model, said.search.model, spec.own_functions, said.own_functions)


def _kept(made: Any, folder: Path | str | None) -> Path:
    """The file that a data set in Python is kept in: workers, resumed runs and later commands read it again."""
    from trainers.data.sources.python_objects import keep

    return keep(made, DataSpec(data_dir=Path(folder) if folder else None).directory.resolve())


def _coerced(setting: Setting, value: Any) -> Any:
    """The value as the setting's type has it, for what Python code may well give instead: one text for a list of them,
    a text for a path, a path for a text."""
    if setting.key == "model":
        value = architecture(value)
    if setting.key in ("set", "range", "prior") and isinstance(value, Mapping):
        value = assignments(setting.key, value)
    if setting.key == "enqueue":
        value = configurations(value)
    if tuple in setting.types:
        words = (value,) if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise UserError(f"setting {setting.key} {value!r}: must be a text or a list of texts")
        return tuple(words)
    if Path in setting.types and value is not None:
        return Path(value)
    if setting.types == (str,) or (str in setting.types and isinstance(value, Path)):
        return str(value)
    return value
