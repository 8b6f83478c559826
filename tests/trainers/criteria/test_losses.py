"""The losses against PyTorch's own, alone and of fused trials, with weights, smoothing and mixtures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from tests.helpers.fusing import digits, fused, make, single
from trainers.config import TrainConfig
from trainers.criteria.losses import Loss, MixedLabels, balanced_weights, labels_of
from trainers.criteria.own import OwnFunctions
from trainers.single import SingleTrainer

LOGITS, LABELS = 3 * torch.randn(40, 5, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 5
SKEWED = torch.tensor([0] * 30 + [1] * 6 + [3] * 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    loss = Loss(TrainConfig(label_smoothing=smoothing), LABELS)
    assert torch.equal(loss(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing))
    each = F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(loss.of_each(LOGITS, LABELS, smoothing), each)
    weighted = Loss(TrainConfig(label_smoothing=smoothing, class_weights="balanced"), LABELS)
    torch.testing.assert_close(weighted(LOGITS, LABELS), each.mean())  # the classes are equally frequent


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    theirs = compute_class_weight("balanced", classes=SKEWED.unique().numpy(), y=SKEWED.numpy())
    weights = balanced_weights(SKEWED)
    assert weights.tolist() == pytest.approx([theirs[0], theirs[1], 0, theirs[2]])
    assert float(weights[SKEWED].mean()) == pytest.approx(1)
    loss = Loss(TrainConfig(class_weights="balanced"), SKEWED)
    torch.testing.assert_close(
        loss(LOGITS[:, :4], SKEWED), (weights[SKEWED] * F.cross_entropy(LOGITS[:, :4], SKEWED, reduction="none")).mean()
    )


def test_bce_is_torchs_added_up_over_the_classes() -> None:
    theirs = F.binary_cross_entropy_with_logits(LOGITS, F.one_hot(LABELS, 5).float(), reduction="none").sum(1).mean()
    torch.testing.assert_close(Loss(TrainConfig(loss="bce"), LABELS)(LOGITS, LABELS), theirs)


def test_focal_of_two_classes_is_torchvisions() -> None:
    logits, labels = torch.stack([torch.zeros(40), LOGITS[:, 0]], 1), LABELS % 2
    theirs = sigmoid_focal_loss(logits[:, 1], labels.float(), alpha=-1, gamma=1.5, reduction="mean")
    torch.testing.assert_close(Loss(TrainConfig(loss="focal", focal_gamma=1.5), labels)(logits, labels), theirs)
    plain = Loss(TrainConfig(loss="focal", focal_gamma=0.0), LABELS)(LOGITS, LABELS)
    torch.testing.assert_close(plain, F.cross_entropy(LOGITS, LABELS))


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "bce"])
def test_of_fused_trials_each_has_its_smoothing(name: str) -> None:
    stacked, smoothing = torch.stack([LOGITS, -LOGITS]), torch.tensor([[0.0], [0.3]])
    loss = Loss(TrainConfig(loss=name), LABELS)
    together = loss.of_each(stacked, LABELS.expand(2, -1), smoothing).mean(1)
    alone = [Loss(TrainConfig(loss=name, label_smoothing=s), LABELS) for s in (0.0, 0.3)]
    expected = torch.stack([one(logits, LABELS) for one, logits in zip(alone, stacked, strict=True)])
    torch.testing.assert_close(together, expected)


def test_a_mixture_has_the_losses_of_both_labels() -> None:
    others, loss = LABELS.roll(1), Loss(TrainConfig(loss="focal"), LABELS)
    mixed = MixedLabels(LABELS, others, torch.tensor(0.25))
    torch.testing.assert_close(loss(LOGITS, mixed), 0.25 * loss(LOGITS, LABELS) + 0.75 * loss(LOGITS, others))
    assert labels_of(mixed) is LABELS and labels_of(LABELS) is LABELS
    torch.testing.assert_close(loss.of_each(LOGITS, mixed).mean(), loss(LOGITS, mixed))


def test_the_users_own_takes_logits_and_labels() -> None:
    own = Loss(TrainConfig(loss="mine:f"), LABELS, lambda logits, labels: (logits.argmax(1) != labels).float().mean())
    assert own.is_own and not Loss(TrainConfig(), LABELS).is_own
    assert own(LOGITS, LABELS) == (LOGITS.argmax(1) != LABELS).float().mean()
    with pytest.raises(ValueError, match="loss 'mine:f': choose from cross_entropy, focal, bce"):
        Loss(TrainConfig(loss="mine:f"), LABELS)
    with pytest.raises(ValueError, match="has neither label_smoothing nor class_weights"):
        Loss(TrainConfig(loss="mine:f", label_smoothing=0.1), LABELS, own)


@pytest.mark.parametrize(
    "changes",
    [{"loss": "bce"}, {"class_weights": "balanced"}, {"sampler_weights": "balanced"}, {"metric": "macro_f1"}],
    ids=str,
)
def test_a_fused_trial_is_trained_as_it_is_alone(changes: dict[str, str]) -> None:
    configs = [TrainConfig(batch_size=32, lr=lr, seed=seed, **changes) for seed, lr in enumerate((1e-3, 3e-3))]
    _, together = fused([make("lenet5")] * 2, digits(), configs)
    for trial, config in enumerate(configs):
        _, alone = single(make("lenet5"), digits(), config)
        for one, group in zip(alone, together, strict=True):
            other = group[trial]
            assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
            assert other.val_loss == pytest.approx(one.val_loss, rel=1e-3)
            assert other.score == pytest.approx(one.score, abs=0.01)


def test_the_best_epoch_is_that_of_the_best_score() -> None:
    trainer = SingleTrainer(make("mlp_small"), digits(), TrainConfig(metric="mine:f"), own=OwnFunctions(metric=_worse))
    results = [trainer.step()[0] for _ in range(3)]
    assert [one.score for one in results] == [one.val_score for one in results]
    assert all(one.val_score == -one.val_accuracy for one in results)
    log = replace(TrainConfig(), metric="log_loss")
    (one,) = SingleTrainer(make("mlp_small"), digits(), log).step()
    assert one.val_score == pytest.approx(-one.val_loss, rel=1e-4)


def _worse(labels: object, probabilities: object) -> float:
    return -float((probabilities.argmax(1) == labels).mean())  # type: ignore[attr-defined]
