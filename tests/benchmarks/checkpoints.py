"""What a checkpoint costs: its time and its bytes beside the training between two of them.

    PODIUM_DATA_DIR=... python tests/benchmarks/checkpoints.py [--repeats 3]

One cnn on all of MNIST, 3 epochs, with a checkpoint at its rungs (epochs 1 and 3): how long the trial trains and how
long it writes. Both are measured in one trial, so the machine's noise is the same for both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from hpo.store.checkpoint_stores import FolderStorage
from hpo.store.checkpoints import Checkpoints
from hpo.trials.messages import GroupRequest, TrialRequest
from hpo.worker.settings import SearchSettings
from hpo.worker.trial_group import TrialGroup
from trainers.data.dataset import load_dataset

CONFIG = {"lr": 1e-3, "dropout": 0.2, "batch_size": 64, "activation": "relu", "optimizer": "adam"}


def one_trial(data: Any, folder: Path, epochs: int) -> tuple[float, float, int, int]:
    """Seconds of training, seconds of writing, how often, and bytes of the largest file."""
    written: list[float] = []
    save = Checkpoints.save

    def timed(*arguments: Any) -> None:
        began = time.perf_counter()
        save(*arguments)
        written.append(time.perf_counter() - began)

    Checkpoints.save = timed  # type: ignore[method-assign]
    settings = SearchSettings(
        model="cnn",
        input_shape=(1, 28, 28),
        num_classes=10,
        epochs=epochs,
        rungs=(1, 3, 9),
        checkpoints=FolderStorage(folder),
        seed=0,
        precision="float32",
        metric="accuracy",
        device="cpu",
        threads=1,
    )
    request = TrialRequest(trial_id="cnn-0000", number=0, params=CONFIG, asked_at=time.time())
    trial = TrialGroup(data, settings, GroupRequest(trials=(request,)))
    for _ in range(epochs):
        (report,) = trial.step()
    trial.close()
    Checkpoints.save = save  # type: ignore[method-assign]
    largest = max(file.stat().st_size for file in folder.iterdir())
    return report.train_s + report.eval_s, sum(written), len(written), largest


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    data = load_dataset("mnist", Path(os.environ.get("PODIUM_DATA_DIR") or "data")).training
    shares = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as folder:
            trained, wrote, times, size = one_trial(data, Path(folder), options.epochs)
        shares.append(wrote / trained)
        what = f"{times} checkpoints of {size / 1e6:.1f} MB in {wrote:.3f} s"
        print(f"{trained:.1f} s of training, {what}: {shares[-1]:.2%}")
    print(f"median {statistics.median(shares):.2%} of the training time ({min(shares):.2%} to {max(shares):.2%})")


if __name__ == "__main__":
    main()
