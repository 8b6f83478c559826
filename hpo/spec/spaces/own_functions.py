"""A loss or a metric of the user's own: MODULE:NAME or FILE.py:NAME, as an architecture is named."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hpo.spec.checks import unknown
from hpo.system.errors import UserError
from hpo.system.text import describe_error
from models.errors import ModelError
from models.own import check_own, load_own
from trainers.config import LOSSES, METRICS, OF_TRAINER, TrainConfig

if TYPE_CHECKING:
    from trainers.criteria.own import OwnFunctions

_GIVEN = ("make_model", "data", "config")  # to a training loop
_TAKEN = ("accuracy", "loss", "score")  # names of columns: val_loss is always the cross-entropy


def is_own(name: object) -> bool:
    """Whether this names code of the user's."""
    return isinstance(name, str) and ":" in name


def check_loss(flag: str, name: str) -> None:
    """UserError unless it is the name of a loss; the code of the user's own is not looked for yet."""
    _check(flag, name, LOSSES)


def check_metric(name: str) -> None:
    """UserError unless it is the name of a metric; the code of the user's own is not looked for yet."""
    _check(f"--metric {name}", name, METRICS)
    own = name.rpartition(":")[2]
    if is_own(name) and own in (*_TAKEN, *METRICS):
        raise UserError(f"--metric {name}: {own} is the name of a column or metric of Podium's; rename the function")


def check_package(flag: str, name: str) -> None:
    """UserError where the user's own code would be looked for in a package of Podium's."""
    try:
        check_own(name, flag)
    except ModelError as error:
        raise UserError(str(error)) from error


def own_functions(config: TrainConfig) -> OwnFunctions:
    """The functions of the user's own that the configuration names. Raises UserError where they cannot be imported."""
    from trainers.criteria.own import NONE, OwnFunctions

    if not (is_own(config.loss) or is_own(config.metric)):
        return NONE
    return OwnFunctions(
        loss=load("--loss", config.loss) if is_own(config.loss) else None,
        metric=load("--metric", config.metric) if is_own(config.metric) else None,
    )


def check_trainer(name: str) -> None:
    """UserError unless it names the user's own code, and its class has what a training loop needs."""
    if not is_own(name):
        raise UserError(f"--trainer {name}: give your own class as MODULE:NAME or FILE.py:NAME")
    _check(f"--trainer {name}", name, ())


def training_loop(name: str) -> Callable[..., Any]:
    """The user's own class of training loops. Raises UserError, in one line, where it cannot be one."""
    from trainers.own_trainer import MEMBERS

    kind = _found("--trainer", name)
    if missing := [member for member in MEMBERS if not callable(getattr(kind, member, None))]:
        raise UserError(f"--trainer {name}: has no method {', '.join(missing)}; it needs {', '.join(MEMBERS)}")
    if len(_parameters(kind)) < len(_GIVEN):
        raise UserError(f"--trainer {name}: is made from ({', '.join(_GIVEN)}); its constructor takes less")
    return kind


def loop_hyperparameters(name: str) -> dict[str, Any]:
    """The further arguments of the class's constructor, with their defaults: hyperparameters trainer_NAME."""
    further = _parameters(training_loop(name))[len(_GIVEN) :]
    named = [each for each in further if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return {f"{OF_TRAINER}{each.name}": None if each.default is each.empty else each.default for each in named}


def _parameters(kind: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(kind).parameters.values())


def load(flag: str, name: str) -> Callable[..., Any]:
    """The function, or an object of the class, such as a loss that is an nn.Module. Raises UserError, in one line."""
    found = _found(flag, name)
    try:
        made: Callable[..., Any] = found() if isinstance(found, type) else found
    except Exception as error:
        raise UserError(f"{flag} {name}: cannot be made ({describe_error(error)})") from error
    return made


def _found(flag: str, name: str) -> Callable[..., Any]:
    try:
        found = load_own(name, flag)
    except ModelError as error:
        raise UserError(str(error)) from error
    except Exception as error:
        raise UserError(f"{flag} {name}: cannot be imported ({describe_error(error)})") from error
    if not callable(found):
        raise UserError(f"{flag} {name}: is of type {type(found).__name__}, not a function or class")
    function: Callable[..., Any] = found
    return function


def _check(flag: str, name: str, built_in: tuple[str, ...]) -> None:
    if not isinstance(name, str) or (name not in built_in and not is_own(name)):
        raise unknown(flag, str(name), built_in, ", or give your own as MODULE:NAME or FILE.py:NAME")
    if is_own(name):
        check_package(flag.partition(" ")[0], name)
