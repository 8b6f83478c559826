"""A loss or a metric of the user's own: MODULE:NAME or FILE.py:NAME, as an architecture is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hpo.spec.checks import unknown
from hpo.system.errors import UserError
from hpo.system.text import describe_error
from models.errors import ModelError
from models.own import check_own, load_own
from trainers.config import LOSSES, METRICS, TrainConfig

if TYPE_CHECKING:
    from trainers.criteria.own import OwnFunctions

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


def own_functions(config: TrainConfig) -> OwnFunctions:
    """The functions of the user's own that the configuration names. Raises UserError where they cannot be imported."""
    from trainers.criteria.own import NONE, OwnFunctions

    if not (is_own(config.loss) or is_own(config.metric)):
        return NONE
    return OwnFunctions(
        loss=load("--loss", config.loss) if is_own(config.loss) else None,
        metric=load("--metric", config.metric) if is_own(config.metric) else None,
    )


def load(flag: str, name: str) -> Callable[..., Any]:
    """The function, or an object of the class, such as a loss that is an nn.Module. Raises UserError, in one line."""
    try:
        found = load_own(name, flag)
        made = found() if isinstance(found, type) else found
    except ModelError as error:
        raise UserError(str(error)) from error
    except Exception as error:
        raise UserError(f"{flag} {name}: cannot be imported ({describe_error(error)})") from error
    if not callable(made):
        raise UserError(f"{flag} {name}: is of type {type(made).__name__}, not a function or class")
    function: Callable[..., Any] = made
    return function


def _check(flag: str, name: str, built_in: tuple[str, ...]) -> None:
    if not isinstance(name, str) or (name not in built_in and not is_own(name)):
        raise unknown(flag, str(name), built_in, ", or give your own as MODULE:NAME or FILE.py:NAME")
    if is_own(name):
        try:
            check_own(name, flag.partition(" ")[0])
        except ModelError as error:
            raise UserError(str(error)) from error
