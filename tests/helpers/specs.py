"""Specs of small studies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hpo.spec.study import StudySpec


def digits(resume: str | None = None, **settings: Any) -> StudySpec:
    """A study of the digits. With `resume`, of a run whose settings the test has at hand, and no folder."""
    made = StudySpec.of(**{"dataset": "digits", **settings})
    return replace(made, output=replace(made.output, resume=resume))
