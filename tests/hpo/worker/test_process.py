"""What a process does before it trains; in one of its own, because that holds until the process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import ROOT

SCRIPT = """
import sys
from pathlib import Path
from hpo.worker import last_words
from hpo.worker.process import prepare
from tests.helpers.workers import settings
from trainers.data.dataset import load_dataset
folder = Path({folder!r})
last_words.logs_folder = lambda: folder  # Ray's, of which there is none here
dataset = load_dataset("digits", folder, train_size=100)
data = prepare(dataset.training.to_arrays(), settings(folder, import_from="/mine"))
print(sys.path[-1], data.train.images.device, len(data.train.labels) == len(dataset.training.train.labels))
print(*(path.name.startswith("worker-crash-") for path in folder.iterdir()))
try:
    dataset.test.open()
except PermissionError as error:
    print(type(error).__name__)
"""


@pytest.mark.slow
def test_it_has_the_data_and_no_test_images_and_writes_down_its_end(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:3] == ["/mine cpu True", "True", "PermissionError"], done.stderr
