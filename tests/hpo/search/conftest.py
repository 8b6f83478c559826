"""A study in a real SQLite."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from hpo.store.database.study_db import open_storage
from tests.helpers.searching import made


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return made(open_storage(f"sqlite:///{tmp_path}/study.db"))
