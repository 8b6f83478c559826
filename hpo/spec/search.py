"""The settings of what is searched. The text under a field is the help of its flag."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from cyclopts import Parameter

from hpo.spec.checks import at_least, check_model, check_name, check_seed, choice, seconds
from hpo.spec.help_groups import OPTIONS, SEARCH
from hpo.spec.settings import CHANGEABLE, MANY, SWITCH
from hpo.spec.spaces.assignments import parse_value, split_assignment
from hpo.spec.spaces.own_functions import check_metric, check_trainer, is_own
from hpo.system.errors import UserError
from hpo.trials.asha import rungs
from hpo.trials.metric import ACCURACY, label
from hpo.trials.objectives import FURTHER, SEVERAL
from models import MODELS
from models.own import check_own, is_file

SAMPLERS = ("auto", "tpe", "random", "gp", "cmaes", "nsgaii")
SCHEDULERS = ("auto", "asha", "none")
LEARN_NOTHING = "none"  # as --learn-from
SHORTHANDS = ("loss", "class_weights", "sampler_weights")  # flags for what --set fixes too


@Parameter(name="*", group=SEARCH)
@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """What is searched, and how."""

    model: Annotated[tuple[str, ...], MANY, Parameter(alias="-m", group=OPTIONS)] = ("cnn",)
    """Architectures to tune, one after another: names from `hpo models`, all, torchvision:NAME, timm:NAME, or your own
    as MODULE:NAME or FILE.py:NAME. [default: cnn]"""
    trials: Annotated[int, Parameter(alias="-n", group=OPTIONS)] = field(default=50, metadata=CHANGEABLE)
    """Number of trials of each architecture."""
    epochs: Annotated[int, Parameter(alias="-e", group=OPTIONS)] = 10
    """Epochs of a trial that is not stopped early."""
    metric: str = ACCURACY
    """What epochs, trials and finalists are compared by: accuracy, balanced_accuracy, macro_f1, top5, log_loss, auroc,
    or your own as MODULE:NAME or FILE.py:NAME. Yours takes labels (N,) and probabilities (N, classes), NumPy arrays,
    and returns a number, of which more is better."""
    objective: Annotated[tuple[str, ...], MANY] = ()
    """What the search improves: the metric, or the metric together with parameters, time or both, as in accuracy time.
    [default: the metric]"""
    sampler: str = "auto"
    """Who draws configurations: auto is Podium's own sampler, or tpe for several objectives; tpe, random, gp, cmaes and
    nsgaii are Optuna's."""
    scheduler: str = "auto"
    """Early stopping: asha pauses each trial on rungs, such as epochs 2 and 6 of 10, and the best quarter of all that
    came there goes on; none stops no trial. auto is asha for the samplers auto, tpe and random, otherwise none."""
    seed: int = 0
    """Seed of the sampler. Trial number n trains with this seed plus n."""
    fixed: Annotated[tuple[str, ...], MANY, Parameter(name="--set", group=OPTIONS)] = ()
    """Fixes a hyperparameter: --set lr=0.01"""
    loss: str | None = None
    """Loss: cross_entropy, focal, bce, or your own as MODULE:NAME or FILE.py:NAME, which takes logits and labels and
    returns a single number. [default: cross_entropy]"""
    class_weights: str | None = None
    """Weights of the classes in the loss: none, or balanced, by one over their counts. [default: none]"""
    sampler_weights: str | None = None
    """How training images are drawn: none, each once an epoch, or balanced, all classes equally often. [default:
    none]"""
    trainer: str | None = None
    """Your own training loop, a class MODULE:NAME or FILE.py:NAME: made from (make_model, data, config), with methods
    train_epoch, save and load. Further arguments of its constructor are hyperparameters trainer_NAME. [default:
    Podium's]"""
    ranges: Annotated[tuple[str, ...], MANY, Parameter(name="--range", group=OPTIONS)] = ()
    """Sets the range of a hyperparameter, or its choices: --range lr=1e-4:1e-2:log --range activation=relu,gelu"""
    prior: Annotated[tuple[str, ...], MANY] = ()
    """Guesses a good value of a hyperparameter: --prior lr=2e-3. The second trial has it, and the search stays near
    it at first. A second number says how far off the guess may be, as a share of the range: lr=2e-3:0.3
    [default: 0.15]"""
    enqueue: Annotated[tuple[str, ...], MANY] = ()
    """Configurations to try right after the first trial, whatever the sampler: --enqueue lr=0.01,batch_size=64
    lr=0.1,optimizer=sgd. What one leaves out is as in the first trial. An architecture without one of the
    hyperparameters tries the others."""
    space: Annotated[dict[str, dict[str, Any]], Parameter(parse=False)] = field(default_factory=dict)
    """The [space.MODEL] tables of a --config file."""
    learn_from: Annotated[tuple[str, ...], MANY] = ()
    """Earlier runs to learn from, of other architectures and data sets too: folders results/NAME, names of runs in
    --results-dir, or all. They give some of the first trials, and a hint for the sampler auto. none: the search knows
    of no other. [default: a built-in list of good configurations gives some of the first trials]"""
    search_widths: Annotated[bool, SWITCH] = False
    """Searches the widths of the layers too, for the architectures that have a hyperparameter width_1."""
    max_parameters: int | None = None
    """Limit on the number of parameters. Larger networks are not trained, and an architecture is left out where all its
    networks are larger. [default: no limit]"""
    time_budget: Annotated[str | None, Parameter(group=OPTIONS)] = field(default=None, metadata=CHANGEABLE)
    """Time limit of the search, such as 90s, 10m or 2h. After it no trial starts, and running trials end with their
    current epoch. [default: no limit]"""
    trial_timeout: str | None = field(default=None, metadata=CHANGEABLE)
    """Time limit of a trial, such as 90s, 10m or 2h. A trial that takes longer has failed; the search goes on.
    [default: no limit]"""
    storage: str | None = field(default=None, metadata=CHANGEABLE)
    """URL of a database that keeps the study, as Optuna's RDBStorage takes it. [default: study.db in the run's
    folder]"""
    study: str | None = None
    """Name of a study in --storage that several runs share. Each run adds its trials to it. [default: a study of this
    run alone]"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", _checked_models(tuple(self.model)))
        choice("--sampler", self.sampler, SAMPLERS)
        choice("--scheduler", self.scheduler, SCHEDULERS)
        check_metric(self.metric)
        self._check_objective()
        self._check_losses()
        if self.trainer is not None:
            check_trainer(self.trainer)
        self._check_sampler_learns()
        self._check_prior()
        check_name("--study", self.study)
        if self.study and not self.storage:
            raise UserError(f"--study {self.study}: give the --storage that all drivers share")
        at_least("--trials", self.trials, 1)
        if self.enqueue and (need := len(self.enqueue) + 1) > self.trials:
            raise UserError(f"--enqueue: with the first trial that is {need} trials; give --trials {need} or more")
        at_least("--epochs", self.epochs, 1)
        check_seed(self.seed)
        at_least("--max-parameters", self.max_parameters, 1)
        with_widths = [name for name, architecture in MODELS.items() if architecture.widths]
        if self.search_widths and not set(self.model) & set(with_widths):
            raise UserError(f"--search-widths: is for {', '.join(with_widths)}; --model has none of them")
        for flag, duration in (("--time-budget", self.time_budget), ("--trial-timeout", self.trial_timeout)):
            if duration is not None:
                seconds(duration, flag)

    def _check_objective(self) -> None:
        metric = label(self.metric)
        object.__setattr__(self, "objective", tuple(self.objective) or (metric,))
        said = f"--objective {' '.join(self.objective)}"
        for name in self.objective:
            choice("--objective", name, (metric, *FURTHER))
        if metric not in self.objective or len(set(self.objective)) < len(self.objective):
            raise UserError(f"{said}: give {metric}, alone or once with some of {', '.join(FURTHER)}")
        if len(self.objective) > 1 and self.sampler not in SEVERAL:
            raise UserError(
                f"--sampler {self.sampler}: is for one objective; with {said} choose from {', '.join(SEVERAL)}"
            )
        if len(self.objective) > 1 and self.scheduler == "asha":
            raise UserError(f"--scheduler asha: stops trials by their {metric} alone; leave it out with {said}")

    def _check_losses(self) -> None:
        for key in SHORTHANDS:
            if getattr(self, key) is not None and any(split_assignment("--set", text)[0] == key for text in self.fixed):
                raise UserError(f"--{key.replace('_', '-')} {getattr(self, key)}: --set has it too; choose one of them")
        in_tables = [table.get("loss") for table in self.space.values() if isinstance(table, Mapping)]
        if own := [name for value in in_tables for name in _listed(value) if is_own(name)]:
            raise UserError(f"--config: loss {own[0]}: a loss of your own is named with --loss, --set or --range")

    @property
    def fixed_values(self) -> tuple[tuple[str, str, Any], ...]:
        """(the flag as the user wrote it, the hyperparameter, its value) of each that is fixed."""
        short = [(f"--{key.replace('_', '-')} {value}", key, value) for key, value in self._shorthands.items()]
        named = [(f"--set {text}", *split_assignment("--set", text)) for text in self.fixed]
        return (*short, *((flag, key, parse_value(value)) for flag, key, value in named))

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that are fixed or searched by a flag."""
        ranges = [split_assignment("--range", text) for text in self.ranges]
        searched = [name.strip() for key, text in ranges if key == "loss" for name in text.split(",")]
        return (*(str(value) for _, key, value in self.fixed_values if key == "loss"), *searched)

    @property
    def own_functions(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The flags, with their values, that name functions of the user's own: code, which runs only if named."""
        flags = {
            "--metric": (self.metric,) if is_own(self.metric) else (),
            "--loss": (self.loss,) if self.loss and is_own(self.loss) else (),
            "--trainer": (self.trainer,) if self.trainer else (),
            "--set": self.fixed if any(_has_own_loss("--set", text) for text in self.fixed) else (),
            "--range": self.ranges if any(_has_own_loss("--range", text) for text in self.ranges) else (),
        }
        return tuple((flag, values) for flag, values in flags.items() if values)

    @property
    def _shorthands(self) -> dict[str, str]:
        return {key: value for key in SHORTHANDS if (value := getattr(self, key)) is not None}

    @property
    def earlier_runs(self) -> tuple[str, ...]:
        """The runs that --learn-from names."""
        return () if LEARN_NOTHING in self.learn_from else self.learn_from

    @property
    def can_learn(self) -> bool:
        """Whether it takes first trials from other searches: those of Optuna's samplers are theirs alone."""
        return self.sampler == "auto" and len(self.objective) == 1 and LEARN_NOTHING not in self.learn_from

    def _check_sampler_learns(self) -> None:
        said = f"--learn-from {' '.join(self.learn_from)}"
        if LEARN_NOTHING in self.learn_from and len(self.learn_from) > 1:
            raise UserError(f"{said}: give {LEARN_NOTHING} alone, or leave it out")
        if self.earlier_runs and self.sampler != "auto":
            raise UserError(f"{said}: is for --sampler auto; {self.sampler} cannot learn from other runs")
        if self.earlier_runs and len(self.objective) > 1:
            raise UserError(f"{said}: is for one objective; leave it out with --objective {' '.join(self.objective)}")

    def _check_prior(self) -> None:
        if not self.prior:
            return
        said = f"--prior {' '.join(self.prior)}"
        if self.sampler != "auto":
            raise UserError(f"{said}: is for --sampler auto, not {self.sampler}; leave one of them out")
        if len(self.objective) > 1:
            raise UserError(f"{said}: is for one objective; leave it out with --objective {' '.join(self.objective)}")

    @property
    def budget_s(self) -> float:
        """The time budget; infinite without one."""
        return seconds(self.time_budget) if self.time_budget else math.inf

    @property
    def stops_early(self) -> bool:
        """Whether trials are stopped early.

        With auto they are not where the sampler makes no use of a stopped trial: GP learns from completed ones alone,
        CMA-ES and NSGA-II ignore stopped ones. With several objectives Optuna takes no value before a trial's end.
        """
        if len(self.objective) > 1:
            return False
        return self.scheduler == "asha" or (self.scheduler == "auto" and self.sampler in ("auto", "tpe", "random"))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trials are compared; none where no trial is stopped early."""
        return rungs(self.epochs) if self.stops_early else ()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _has_own_loss(flag: str, text: str) -> bool:
    """Whether it names a loss of the user's own."""
    key, value = split_assignment(flag, text)
    return key == "loss" and is_own(value)


def _checked_models(models: tuple[str, ...]) -> tuple[str, ...]:
    """The architectures, each once, with all of them for "all"."""
    if not models:
        raise UserError(f"--model: choose from {', '.join(MODELS)}, all")
    for name in models:
        check_model(f"--model {name}", name, ("all",))
        check_own(name)
    chosen = tuple(MODELS) if "all" in models else tuple(dict.fromkeys(models))
    files = Counter(name.rpartition("/")[2] for name in chosen if is_file(name))
    if twice := [name for name, count in files.items() if count > 1]:  # trials are named after the file
        raise UserError(f"--model {' '.join(models)}: two files give {twice[0]}; rename one of them")
    return chosen
