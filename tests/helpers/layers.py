"""What each module imports, anywhere in it, and which of that the floors forbid."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("hpo", "models", "trainers", "cluster")
# From the ground up. A module imports from floors below its own, and from its own package.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("models", "trainers", "cluster"),
    ("hpo.system",),
    ("hpo.trials",),
    ("hpo.store",),
    ("hpo.spec",),
    ("hpo.worker", "hpo.views"),
    ("hpo.search", "hpo.networks"),
    ("hpo.session", "hpo.cli"),
    ("hpo.run",),
    ("hpo",),
)
# What stays out of a package, or out of a single module, because it must run, or be fast, without it.
LIBRARIES: dict[str, set[str]] = {
    "models": {"ray", "optuna", "pandas", "rich", "cyclopts", "sklearn"},
    "trainers": {"ray", "optuna", "pandas", "rich", "cyclopts"},
    "cluster": {"torch"},
    "hpo.system": {"torch", "ray", "optuna", "pandas"},
    "hpo.trials": {"torch", "ray", "optuna", "pandas"},
    "hpo.spec": {"torch", "ray"},
    "hpo.search": {"torch"},
    "hpo.worker": {"optuna", "pandas"},
    "hpo.run": {"torch", "ray", "optuna"},
}
# Of several floors, as scripts are: the part under `if __name__ == "__main__"` is of the command line's floor.
MAIN = "hpo.run"


@dataclass(frozen=True)
class Import:
    """A module that another one names, and where."""

    importer: str
    imported: str
    line: int
    is_of_main: bool = False

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of ours under `root`, by its dotted name; a package by its own."""
    found = {}
    for package in OURS:
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, source: str, known: set[str]) -> Iterator[Import]:
    """Every import in a module's source: at its top, in functions, under TYPE_CHECKING, and modules of ours that are
    named in strings, as import_module and tables of commands do."""
    tree = ast.parse(source)
    main = {id(inner) for node in tree.body if _is_main(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        for imported in _named(node, name, known):
            yield Import(name, imported, getattr(node, "lineno", 0), id(node) in main)


def violations(found: list[Import]) -> list[str]:
    """Imports against the floors, and libraries where they must not be."""
    return [str(one) for one in found if _is_forbidden(one)]


def circles(found: list[Import]) -> list[list[str]]:
    """Groups of modules that import one another, by any way (Tarjan, 1972)."""
    edges: dict[str, set[str]] = {}
    for one in found:
        if one.imported.partition(".")[0] in OURS and one.imported != one.importer and not one.is_of_main:
            edges.setdefault(one.importer, set()).add(one.imported)
    return _strongly_connected(edges)


def _named(node: ast.AST, importer: str, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            raise ValueError(f"{importer}: a relative import")
        submodules = {f"{module}.{alias.name}" for alias in node.names} & known
        yield from submodules
        if len(submodules) < len(node.names):
            yield module
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        module = node.value.partition(":")[0] if re.fullmatch(r"[\w.]+(:\w+)?", node.value) else ""
        if module in known and ("." in module or ":" in node.value):
            yield module


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _is_forbidden(one: Import) -> bool:
    importer, imported = one.importer, one.imported
    if imported.partition(".")[0] not in OURS:
        package = max((key for key in LIBRARIES if _is_in(importer, key)), key=len, default="")
        return imported.partition(".")[0] in LIBRARIES.get(package, set())
    mine, theirs = _place(importer), _place(imported)
    if one.is_of_main:
        return _floor(theirs) > _floor(MAIN)
    return theirs != mine and _floor(theirs) >= _floor(mine)


def _place(module: str) -> str:
    """The package on a floor that a module is in."""
    return max((name for floor in FLOORS for name in floor if _is_in(module, name)), key=len)


def _floor(place: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if place in floor)


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _strongly_connected(edges: dict[str, set[str]]) -> list[list[str]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in sorted(edges.get(node, ())):
            if after not in index:
                visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], index[after])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found
