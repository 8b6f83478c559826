"""What Python code gives where a flag takes a text: a dict of hyperparameters, a class for --model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo.system.errors import UserError

_RANGE = "(low, high), (low, high, 'log') or a list of choices"


def assignments(key: str, values: Mapping[str, Any]) -> list[str]:
    """["lr=0.01"] of {"lr": 0.01}; of the setting range ["lr=0.001:0.1:log"] of {"lr": (0.001, 0.1, "log")}.

    Raises UserError for a range that is neither two numbers nor a list.
    """
    return [f"{name}={_range(name, value) if key == 'range' else value}" for name, value in values.items()]


def configurations(values: Any) -> list[str]:
    """["lr=0.01,batch_size=64"] of [{"lr": 0.01, "batch_size": 64}], or of one such dict; texts stay."""
    listed = values if isinstance(values, list | tuple) else [values]
    return [",".join(assignments("set", one)) if isinstance(one, Mapping) else one for one in listed]


def _range(name: str, value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        raise UserError(f"setting range {name} = {value!r}: is one value; fix it with set={{{name!r}: {value[0]!r}}}")
    if isinstance(value, list) and value:
        return ",".join(map(str, value))
    ends = value[:2] if isinstance(value, tuple) and (len(value) == 2 or value[2:] == ("log",)) else ()
    if len(ends) == 2 and all(isinstance(end, int | float) for end in ends):
        return ":".join(map(str, value))
    if isinstance(value, str):
        return value
    raise UserError(f"setting range {name} = {value!r}: must be {_RANGE}")


def architecture(value: Any) -> Any:
    """MODULE:NAME of a class or function of a module; anything else as it is.

    Raises UserError for one of a notebook or a script, which the workers cannot import.
    """
    if isinstance(value, list | tuple):
        return [architecture(one) for one in value]
    if not callable(value):
        return value
    if not hasattr(value, "__qualname__"):
        raise UserError(f"setting model: is an object of {type(value).__name__}; give the class, or a function")
    name, module = value.__qualname__, getattr(value, "__module__", "__main__")
    if module == "__main__" or not name.isidentifier():
        raise UserError(
            f"setting model {name}: the workers cannot import it from here; write it to a file, in a notebook with "
            f"%%writefile nets.py above it, and give model='nets.py:{name}'"
        )
    return f"{module}:{name}"
