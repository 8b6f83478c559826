"""What every process that trains for a run does first."""

from __future__ import annotations

from hpo.system.import_path import add_folder
from hpo.worker.last_words import write_last_words
from hpo.worker.settings import WorkerSettings
from trainers.cpu.memory import keep_freed_memory
from trainers.data.dataset import seal
from trainers.data.splits import TrainingArrays, TrainingData


def prepare(arrays: TrainingArrays, settings: WorkerSettings) -> TrainingData:
    """Puts the data set on this process's device, where it stays for all that is trained here.

    No test split opens in this process from now on, and a user's own architecture is found where the driver found it.
    """
    write_last_words()
    seal()
    keep_freed_memory()
    add_folder(settings.import_from)
    return TrainingData.from_arrays(arrays).to(settings.device)
