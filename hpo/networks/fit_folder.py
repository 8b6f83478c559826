"""results/NAME of `hpo train`: whole at every moment, from the first epoch on."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hpo.store import model_file as weights
from hpo.store import run_folder as folder
from hpo.store.best_file import write_description
from hpo.system.files import write_atomically, write_json
from hpo.trials.records import TrialRecord
from hpo.views import figures
from trainers.config import EpochResult, FitResult, TrainConfig
from trainers.data.dataset import Dataset, denormalized


class FitFolder:
    """The files of one training: train.json, curves.csv, best.pt, best.json and two figures."""

    def __init__(self, path: Path, description: weights.Description) -> None:
        self.path, self.description = path, description
        self.curves_csv = path / "curves.csv"
        self.curves_png = path / "curves.png"
        self.samples_png = path / "samples.png"
        self.best_pt = path / "best.pt"
        self.best_json = path / "best.json"
        self.kept: EpochResult | None = None

    @classmethod
    def create(
        cls, results_dir: Path, name: str | None, description: weights.Description, settings: dict[str, Any]
    ) -> FitFolder:
        """Makes results_dir/name with train.json in it; names it and raises as `folder.make_whole`."""

        def fill(new: Path) -> None:
            write_json(new / "train.json", settings)

        path = folder.make_whole(results_dir, name, fill, [description.model])
        return cls(path, replace(description, trial_id=path.name))

    def keep(self, fitted: FitResult, record: TrialRecord) -> None:
        """Writes the curve so far and, where there is a new best epoch, its weights and best.json."""
        import pandas as pd

        frame = pd.DataFrame([asdict(result) for result in fitted.curve])
        write_atomically(self.curves_csv, frame.to_csv(index=False))
        if fitted.best is not self.kept:
            weights.save(self.best_pt, self.description, fitted.best_weights)
            self.kept = fitted.best
            write_description(self.best_json, self.description, record)

    def finish(self, fitted: FitResult, record: TrialRecord, dataset: Dataset, train: TrainConfig) -> None:
        """Writes what has come since `keep` (an interrupt may have struck within it), and the figures."""
        if fitted.curve:
            self.keep(fitted, record)
        if self.kept:
            write_description(self.best_json, self.description, record)
        try:
            figures.draw_curves(self.curves_png, record.trial_id, fitted.curve)
            self._draw_samples(dataset, train)
        except Exception as error:  # pictures are no reason to lose what was trained
            print(f"hpo: the figures could not be drawn ({' '.join(str(error).split())[:200]})", file=sys.stderr)

    def discard(self) -> None:
        """Removes the folder: nothing was trained."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _draw_samples(self, dataset: Dataset, train: TrainConfig) -> None:
        """Training images as the network saw them: augmented."""
        import torch

        from trainers.data.augment import make_augmentation

        data = dataset.training.train
        # From all over the split: image files come in the order of their classes.
        few = torch.linspace(0, len(data) - 1, min(figures.MAX_IMAGES, len(data))).long()
        black = torch.tensor(dataset.training.black)
        augment = make_augmentation(train.augment, black, torch.Generator().manual_seed(train.seed))
        images = data.images[few]
        shown = denormalized(augment(images) if augment else images, dataset.mean, dataset.std)
        captions = [dataset.classes[label] for label in data.labels[few].tolist()]
        title = "training images" + ("" if train.augment == "none" else f", {train.augment}")
        figures.draw_sheet(self.samples_png, title, shown, captions)
