"""All settings of a study, read from the fields of their groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from hpo.spec.output import FinalsSpec, OutputSpec
from hpo.spec.resources import ResourceSpec
from hpo.spec.search import SearchSpec
from hpo.spec.settings import CHANGEABLE, OF_ONE_CALL, DataSpec, TrainSpec

GROUPS: dict[str, Any] = {
    "search": SearchSpec,
    "data": DataSpec,
    "train": TrainSpec,
    "resources": ResourceSpec,
    "finals": FinalsSpec,
    "output": OutputSpec,
}


@dataclass(frozen=True)
class Setting:
    """A field of one of the groups."""

    group: str
    """The key of the group in GROUPS."""
    field: str
    """The name of the field in the group."""
    key: str
    """The name as the user writes it: --train-size is train_size."""
    types: tuple[Any, ...]
    """The types of its values: str and NoneType for `str | None`, tuple for `tuple[str, ...]`."""
    metadata: Mapping[str, str]
    """What a resumed run does with it: CHANGEABLE, OF_ONE_CALL, or nothing for what stays as it was."""


@cache
def all_settings() -> tuple[Setting, ...]:
    """Every setting, by group and in the order of the fields."""
    return tuple(setting for group, kind in GROUPS.items() for setting in _settings(group, kind))


def setting_names() -> list[str]:
    """The names of all settings, as the user writes them."""
    return [setting.key for setting in all_settings()]


def settings_of_one_call() -> set[str]:
    """The names of the settings that a resumed run does not take over."""
    return {setting.key for setting in all_settings() if setting.metadata == OF_ONE_CALL}


def changeable_settings() -> set[str]:
    """The names of the settings that may differ when a run is resumed."""
    return {setting.key for setting in all_settings() if setting.metadata in (CHANGEABLE, OF_ONE_CALL)}


def _settings(group: str, kind: Any) -> Iterator[Setting]:
    hints, annotated = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        key = _flag(annotated[item.name]) or item.name
        yield Setting(group, item.name, key, _types(hints[item.name]), item.metadata)


def _flag(hint: Any) -> str:
    """ "set" of a field whose flag is called --set; nothing where it is called as the field."""
    named = [extra.name for extra in get_args(hint)[1:] if isinstance(extra, Parameter) and extra.name]
    return next(iter(named[0])).removeprefix("--").replace("-", "_") if named else ""


def _types(hint: Any) -> tuple[Any, ...]:
    """(tuple,) of `tuple[str, ...]`, (str, NoneType) of `str | None`."""
    origin = get_origin(hint)
    if origin in (tuple, dict):
        return (origin,)
    return get_args(hint) or (hint,)
