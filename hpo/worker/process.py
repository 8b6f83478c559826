"""What every process that trains for a run does first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from hpo.worker.last_words import write_last_words
from hpo.worker.settings import WorkerSettings

if TYPE_CHECKING:
    from trainers.data.dataset import TrainingData


def prepare(arrays: dict[str, Any], settings: WorkerSettings) -> TrainingData:
    """Puts the data set on this process's device, where it stays for all that is trained here.

    No test split opens in this process from now on, and a user's own architecture is found where the driver found it.
    """
    from trainers.cpu.memory import keep_freed_memory
    from trainers.data.dataset import TrainingData, seal

    write_last_words()
    seal()
    keep_freed_memory()
    if settings.import_from not in sys.path:
        sys.path.append(settings.import_from)
    return TrainingData.from_arrays(arrays).to(settings.device)
