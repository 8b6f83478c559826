"""The finals: the best of each architecture trained anew, with fresh seeds, on training and validation images together;
then the test set, opened once for each of them.

What is trained lies in a journal and in files, so that finals that were cut short go on where they were.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from hpo.session.final_tasks import FinalTasks, Network
from hpo.spec.normalization import scaling_for
from hpo.spec.plan import Plan
from hpo.spec.spaces.own_functions import own_functions
from hpo.store.checkpoint_stores import CheckpointStorage
from hpo.store.finals_file import Answers, check_row, read_finalists, tested_row
from hpo.store.journal import Journal, scan, set_aside
from hpo.store.run_folder import RunFolder
from hpo.system.text import describe_error
from hpo.trials.finalists import final_seeds
from hpo.trials.messages import FinalOutcome
from hpo.trials.records import TrialRecord
from hpo.trials.significance import resample
from hpo.views.formats import plural, seconds
from models import build_model, without_pretrained
from trainers import checkpoint
from trainers.config import TrainConfig, split_config
from trainers.criteria.metrics import make_score
from trainers.data.dataset import Dataset
from trainers.loop import predict

logger = logging.getLogger(__name__)


def run_finals(
    plan: Plan,
    folder: RunFolder,
    place: CheckpointStorage,
    chosen: Sequence[TrialRecord],
    interrupted: threading.Event,
    tell: Callable[[str], object] = lambda _: None,
) -> None:
    """Trains what is missing of the finalists' networks, as Ray tasks, and opens the test set once for each finalist
    whose networks are all there; for fewer than chosen where `interrupted` is set or one could not be trained. What
    came of it is in the folder's journal (hpo/store/finals_file.py reads it).

    place: for checkpoints, as the workers see it. Raises OSError where the disk does not take a result, and ray's
    RayError where Ray is lost.
    """
    seeds = final_seeds(plan.spec.search.seed, plan.spec.finals.final_seeds)
    test = FinalTest(plan.dataset, plan.device, plan.spec.search.metric)
    with closing(Finals(folder, chosen, seeds, test, tell)) as finals:
        for network, outcome in FinalTasks(plan, place).run(finals.untrained, interrupted):
            finals.keep(network, outcome)
            finals.test_if_whole(network.record)
        for record in chosen:  # those that a kill cut off between training and test
            if not interrupted.is_set():
                finals.test_if_whole(record)


@dataclass(frozen=True)
class FinalTest:
    """The test images, the device that networks see them on, and the metric that these are judged by."""

    dataset: Dataset
    device: str
    metric: str

    def answers(self, record: TrialRecord, weights: Path) -> Answers:
        """What a network of the trial's configuration makes of the test images, with these weights."""

        # Where the trials ran; but the driver of a cluster may have no accelerator.
        device = "cuda" if self.device == "cuda" and torch.cuda.is_available() else "cpu"
        configured = split_config(record.config)[1]
        arch = without_pretrained(record.model, configured)
        model = build_model(record.model, self.dataset.input_shape, len(self.dataset.classes), **arch)
        model.load_state_dict(checkpoint.load(weights))
        split = self.dataset.test.open().scaled(scaling_for(record.model, configured, self.dataset.training.scaling))
        logits = predict(model.to(device), split.to(device), record.precision)
        right = (logits.argmax(1) == split.labels).numpy()
        score = make_score(self.metric, own_functions(TrainConfig(metric=self.metric)).metric)
        if score is None:
            return Answers(right)
        return Answers(right, *resample(score, split.labels.numpy(), logits.softmax(1).numpy()))


class Finals:
    """What is trained and tested: the journal, and the weights of networks that wait for their finalist's test.

    untrained: the networks that are to be trained.
    """

    def __init__(
        self,
        folder: RunFolder,
        chosen: Sequence[TrialRecord],
        seeds: Sequence[int],
        final_test: FinalTest,
        tell: Callable[[str], object],
    ) -> None:
        self._folder, self._seeds, self._final_test, self._tell = folder, seeds, final_test, tell
        folder.final_weights.mkdir(exist_ok=True)
        set_aside(folder.finals, scan(folder.finals, check_row))
        self._tested = {found.record.trial_id for found in read_finalists(folder.finals, chosen, seeds)}
        self._failed: set[str] = set()
        waiting = [record for record in chosen if record.trial_id not in self._tested]
        self.untrained = [network for record in waiting for network in self._networks(record) if self._lacks(network)]
        self._kept = 0
        self._journal = Journal(folder.finals)

    def close(self) -> None:
        self._journal.close()

    def keep(self, network: Network, outcome: FinalOutcome) -> None:
        """Writes down what became of a network's training."""
        if outcome.weights is not None:
            checkpoint.save(self._weights(network), dict(outcome.weights))
        else:
            self._failed.add(network.name)
            logger.error("%s: %s", network.name, outcome.error)
        row = {"what": "trained", "trial_id": network.record.trial_id, "seed": network.seed, **outcome.row()}
        row["ended_at"] = time.time()
        self._journal.append(row)
        if outcome.warning:
            logger.warning("%s: %s", network.name, outcome.warning)
        self._kept += 1
        how = outcome.error or f"{plural(outcome.epochs, 'epoch')}, {seconds(outcome.train_s)}"
        count = f"[{self._kept}/{len(self.untrained)}]"
        self._tell(f"{count} final of {network.record.trial_id}, seed {network.seed}: {how}")

    def test_if_whole(self, record: TrialRecord) -> None:
        """Opens the test set for a finalist whose networks are all trained, or failed, and at least one is."""
        networks = self._networks(record)
        trained = [network for network in networks if self._weights(network).exists()]
        ended = len(trained) + sum(network.name in self._failed for network in networks)
        if record.trial_id in self._tested or not trained or ended < len(networks):
            return
        try:
            answers = [self._final_test.answers(record, self._weights(network)) for network in trained]
        except (RuntimeError, ValueError, OSError) as error:
            logger.exception("%s cannot be tested", record.trial_id)
            self._tell(f"{record.trial_id} cannot be tested: {describe_error(error, 200)}")
            return
        self._journal.append(tested_row(record.trial_id, self._seeds, [network.seed for network in trained], answers))
        self._tested.add(record.trial_id)
        for network in trained[1:]:  # the first one is kept
            self._weights(network).unlink()

    def _networks(self, record: TrialRecord) -> list[Network]:
        return [Network(record, seed) for seed in self._seeds]

    def _weights(self, network: Network) -> Path:
        return self._folder.weights_of_final(network.record.trial_id, network.seed)

    def _lacks(self, network: Network) -> bool:
        """Whether a network is still to be trained. Damaged weights are removed, because they can be made again."""
        path = self._weights(network)
        try:
            checkpoint.load(path)
        except FileNotFoundError:
            return True
        except ValueError as error:
            logger.warning("%s: trained again", error)
            path.unlink()
            return True
        return False
