"""What a result was made with."""

from __future__ import annotations

import json
import os
import platform
import re

from hpo.system.machine import describe_machine


def test_versions_machine_and_commit() -> None:
    found = describe_machine()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["python"] == platform.python_version()
    assert {"torch", "ray", "optuna", "pandas", "numpy"} <= set(found["versions"])
    assert found["machine"]["cpus"] == os.cpu_count() and "/" not in found["machine"]["executable"]
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", found["commit"])
