"""What to try, and what came of it.

from hpo import StudySpec, load_network, load_run, plan_study, run_study
spec = StudySpec.of(model="cnn", trials=20, dataset="digits")
plan_study(spec)        # what would run: architectures with their spaces, data, device, resources
result = run_study(spec)
result.frame            # every trial, ranked (pandas)
result.best             # the best configuration
description, network = load_network(result.folder)
load_run("cnn")         # the result of an earlier run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.run import plan_study, run_study
    from hpo.session.result import StudyResult, load_run
    from hpo.spec.study import StudySpec
    from hpo.store.model_file import load as load_network

__all__ = ["StudyResult", "StudySpec", "load_network", "load_run", "plan_study", "run_study"]

_HOMES = {
    "StudyResult": ("hpo.session.result", "StudyResult"),
    "StudySpec": ("hpo.spec.study", "StudySpec"),
    "load_network": ("hpo.store.model_file", "load"),
    "load_run": ("hpo.session.result", "load_run"),
    "plan_study": ("hpo.run", "plan_study"),
    "run_study": ("hpo.run", "run_study"),
}


def __getattr__(name: str) -> Any:
    """Imports on first use: `import hpo` costs nothing."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
