"""The folder results/NAME of `hpo train`: its files are whole at every moment, from the first epoch on."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hpo.store import model_file, run_folder
from hpo.store.model_file import Description, write_description
from hpo.system.files import write_atomically, write_json
from hpo.system.text import single_line
from hpo.trials.records import TrialRecord
from hpo.views import figures
from trainers.augment.policies import make_augmentation
from trainers.config import EpochResult, FitResult, TrainConfig
from trainers.data.dataset import Dataset


class TrainingFolder:
    """The files of one training: train.json, curves.csv, best.pt, best.json, two figures and report.html."""

    def __init__(self, path: Path, description: Description) -> None:
        self.path, self.description = path, description
        self.curves_csv = path / "curves.csv"
        self.curves_png = path / "curves.png"
        self.samples_png = path / "samples.png"
        self.report_html = path / "report.html"
        self.best_pt = path / "best.pt"
        self.best_json = path / "best.json"
        self.kept: EpochResult | None = None

    @classmethod
    def create(
        cls, results_dir: Path, name: str | None, description: Description, settings: dict[str, Any]
    ) -> TrainingFolder:
        """Makes results_dir/name with train.json in it, as `run_folder.make_whole` does."""

        def fill(new: Path) -> None:
            write_json(new / "train.json", settings)

        path = run_folder.make_whole(results_dir, name, fill, [description.model])
        return cls(path, replace(description, trial_id=path.name))

    def keep(self, fitted: FitResult, record: TrialRecord) -> None:
        """Writes the curve so far and, after a new best epoch, its weights and best.json."""
        import pandas as pd

        frame = pd.DataFrame([asdict(result) for result in fitted.curve])
        write_atomically(self.curves_csv, frame.to_csv(index=False))
        if fitted.best is not self.kept:
            model_file.save(self.best_pt, self.description, fitted.best_weights)
            self.kept = fitted.best
            write_description(self.best_json, self.description, record)

    def finish(self, fitted: FitResult, record: TrialRecord, dataset: Dataset, train: TrainConfig) -> None:
        """Writes the last state again, because an interrupt may have cut `keep` short, and draws the figures."""
        if fitted.curve:
            self.keep(fitted, record)
        if self.kept:
            write_description(self.best_json, self.description, record)
        try:
            figures.draw_curves(self.curves_png, record.trial_id, fitted.curve)
            self._draw_samples(dataset, train)
        except Exception as error:  # a missing figure must not cost the trained weights
            print(f"hpo: the figures could not be drawn ({single_line(str(error))[:200]})", file=sys.stderr)

    def discard(self) -> None:
        """Removes the folder of a training that failed before its first epoch ended."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _draw_samples(self, dataset: Dataset, train: TrainConfig) -> None:
        """Draws training images as the network saw them, with augmentation."""
        import torch

        data = dataset.training.train
        # From the whole split: image files are ordered by class.
        few = torch.linspace(0, len(data) - 1, min(figures.MAX_IMAGES, len(data))).long()
        generator = torch.Generator().manual_seed(train.seed)
        augment = make_augmentation(train.augment, data.scaling, generator, train.augment_strength)
        shown = data.scaling.pixels(augment(data.at(few))) if augment else data.pixels(few)
        captions = [dataset.classes[label] for label in data.labels[few].tolist()]
        title = "training images" + ("" if train.augment == "none" else f", {train.augment}")
        figures.draw_sheet(self.samples_png, title, shown, captions)
