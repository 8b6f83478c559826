"""Architectures and functions of the user's own: MODULE:NAME of a module, or FILE.py:NAME of a file.

A user's own package may be called as one of Podium's. `models.mynet` would then be looked for in Podium's package, so
that such a name is refused. The file is always the user's: it is imported under a private name.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from models.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

PODIUM = Path(__file__).resolve().parent.parent
PACKAGES = ("hpo", "models", "trainers", "cluster")
_KNOWN = ("input_shape", "in_channels", "num_classes")  # arguments that are no hyperparameters


def is_file(name: str) -> bool:
    """Whether a name has the form FILE.py:NAME."""
    return name.rpartition(":")[0].endswith(".py")


def check_own(name: str, flag: str = "--model") -> None:
    """ModelError where a MODULE:NAME would be looked for in a package of Podium's."""
    module, _, attribute = name.rpartition(":")
    package = module.partition(".")[0]
    if package not in PACKAGES or is_file(name):
        return
    path = module.replace(".", "/")
    file = f"{path}.py" if not Path(path).is_dir() else f"{path}/__init__.py"
    raise ModelError(
        f"{flag} {name}: {package} is the name of a package of Podium's too; name your file instead: "
        f"{flag} {file}:{attribute}"
    )


def load_own(name: str, flag: str = "--model") -> Any:
    """What `name` names, MODULE:NAME or FILE.py:NAME.

    Raises ModelError for a name of Podium's packages and for a file that is not there, otherwise whatever the import
    raises.
    """
    check_own(name, flag)
    where, _, attribute = name.rpartition(":")
    module = _import_file(name, where, flag) if is_file(name) else importlib.import_module(where)
    _check_imports(name, flag)
    return getattr(module, attribute)


def _import_file(name: str, path: str, flag: str) -> ModuleType:
    """The module of a file, in a private package whose folder is the file's: `from .blocks import Block` works."""
    file = _find(name, path, flag)
    package = f"podium_own_{hashlib.sha256(str(file.parent).encode()).hexdigest()[:8]}"
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__path__ = [str(file.parent)]
        sys.modules[package] = parent
    return importlib.import_module(f"{package}.{file.stem}")


def _find(name: str, path: str, flag: str) -> Path:
    """The file, in the current folder, or, on a worker, in the folder of the driver, which is last on the search path
    (hpo/worker/process.py)."""
    for folder in (Path.cwd(), *map(Path, reversed(sys.path))):
        file = (folder / path).resolve()
        if file.is_file() and not _is_podiums(file):
            return file
    if _is_podiums(Path(path).resolve()):
        raise ModelError(f"{flag} {name}: the file is Podium's own; its architectures have names, see: hpo models")
    raise ModelError(f"{flag} {name}: there is no file {path}")


def _check_imports(name: str, flag: str) -> None:
    """ModelError where code in the current folder imports `models`, say, and has a `models` of its own: it would get
    Podium's instead."""
    here = Path.cwd()
    both = [package for package in PACKAGES if here != PODIUM and _has_module(here, package)]
    for file in _users_files(here) if both else ():
        for imported in _imported(file):
            if imported.partition(".")[0] in both:
                raise ModelError(
                    f"{flag} {name}: {file.relative_to(here)} imports {imported}, which is Podium's package here, not "
                    f"yours; rename yours, or import it relatively (from . import ...)"
                )


def _has_module(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()


def _users_files(folder: Path) -> Iterator[Path]:
    """The files below `folder` that were imported, without those of Podium and of installed packages."""
    for module in list(sys.modules.values()):
        file = Path(getattr(module, "__file__", None) or "")  # torch has modules whose file is only a name
        is_source = file.is_absolute() and file.suffix == ".py" and "site-packages" not in file.parts
        if is_source and file.is_relative_to(folder) and not _is_podiums(file):
            yield file


def _is_podiums(file: Path) -> bool:
    return file.is_relative_to(PODIUM) and file.relative_to(PODIUM).parts[0] in PACKAGES


def _imported(file: Path) -> Iterator[str]:
    """The modules that a file imports by their full names."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def adapted(found: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """The callable as one of (input_shape, num_classes, **hyperparameters).

    Where it names input_shape, in_channels or num_classes, it gets those that it names, and its other parameters are
    hyperparameters; but (shape, num_classes) are in their places. Otherwise its first two parameters are the shape and
    the number of classes, unless it has fewer, or the first one has a default that is no shape, as in the usual
    `__init__(self, hidden=128, dropout=0.1)`.
    """
    parameters = list(inspect.signature(found).parameters.values())
    if _has_both(parameters):
        return found
    named = [parameter.name for parameter in parameters if parameter.name in _KNOWN]

    def build(input_shape: tuple[int, int, int], num_classes: int, **arch: Any) -> nn.Module:
        known = {"input_shape": input_shape, "in_channels": input_shape[0], "num_classes": num_classes}
        return found(**{name: known[name] for name in named}, **arch)

    first = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("input_shape", "num_classes")]
    others = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p.name not in named and not _takes_any(p)]
    build.__signature__ = inspect.Signature([*first, *others])  # type: ignore[attr-defined]
    return build


def _has_both(parameters: list[inspect.Parameter]) -> bool:
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters[:2]):
        return True
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(by_position) < 2:
        return False
    first, second = by_position[:2]
    if any(parameter.name in _KNOWN for parameter in parameters):
        in_place = second.name == "num_classes" and first.default is inspect.Parameter.empty
        return in_place and first.name != "in_channels"
    return first.default is inspect.Parameter.empty or isinstance(first.default, tuple)


def _takes_any(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
