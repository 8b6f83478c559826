"""The Python API: `from hpo import ...`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hpo

NAMES = {"StudyResult", "StudySpec", "load_network", "load_run", "plan_study", "run_study"}


def test_what_is_exported() -> None:
    assert set(hpo.__all__) == NAMES <= set(dir(hpo))
    assert all(callable(getattr(hpo, name)) for name in NAMES)
    with pytest.raises(AttributeError, match="module 'hpo' has no attribute 'run_studies'"):
        hpo.run_studies  # noqa: B018


def test_importing_it_costs_nothing() -> None:
    code = (
        "import sys, hpo; print([name for name in sys.modules if name.startswith(('hpo.', 'torch', 'ray', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
