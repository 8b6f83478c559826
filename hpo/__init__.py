"""What to try, and what came of it.

from hpo import StudySpec, run_study
result = run_study(StudySpec.of(model="cnn", trials=20, dataset="digits"))
result.frame            # every trial, ranked (pandas)
result.best             # the best configuration
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.run import StudyResult, run_study
    from hpo.spec.study import StudySpec

__all__ = ["StudyResult", "StudySpec", "run_study"]


def __getattr__(name: str) -> Any:
    """Imports on first use: `import hpo` costs nothing."""
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    return getattr(importlib.import_module("hpo.spec.study" if name == "StudySpec" else "hpo.run"), name)
