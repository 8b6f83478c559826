"""mixup and cutmix, against what torchvision makes of the same share."""

from __future__ import annotations

import pytest
import torch

from tests.helpers.fusing import digits, fused, make
from trainers.augment.mixing import make_mixing
from trainers.augment.policies import make_augmentation
from trainers.config import TrainConfig
from trainers.criteria.losses import MixedLabels
from trainers.data.images.scaling import Scaling
from trainers.single import SingleTrainer

IMAGES = torch.stack([torch.full((3, 20, 30), float(n)) for n in range(8)])  # image n has the value n
LABELS = torch.arange(8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixed(name: str, seed: int = 0, strength: float = 1.0) -> tuple[torch.Tensor, MixedLabels]:
    mixing = make_mixing(name, generator(seed), strength)
    assert mixing is not None
    return mixing(IMAGES, LABELS)


@pytest.mark.parametrize("seed", range(20))
def test_mixup_is_the_weighted_mean_with_the_image_before(seed: int) -> None:
    images, target = mixed("mixup", seed)
    assert torch.equal(target.others, LABELS.roll(1)) and 0 <= target.share <= 1
    expected = target.share * LABELS + (1 - target.share) * target.others
    torch.testing.assert_close(images[:, 0, 0, 0], expected)
    assert (images == images[:, :1, :1, :1]).all()


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_puts_a_box_of_another_image_there(seed: int) -> None:
    images, target = mixed("cutmix", seed)
    own = images == IMAGES
    assert torch.equal(own | (images == IMAGES.roll(1, 0)), torch.ones_like(own))
    assert float(own.float().mean()) == pytest.approx(float(target.share), abs=1e-6)
    other = ~own[0, 0]
    rows, columns = other.any(1).nonzero()[:, 0], other.any(0).nonzero()[:, 0]
    if len(rows):  # a whole rectangle, with nothing else
        assert other[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_shares_follow_betas() -> None:
    wide, narrow = (torch.stack([mixed("mixup", s, k)[1].share for s in range(400)]) for k in (1.0, 5.0))
    assert float(wide.var()) == pytest.approx(1 / (4 * 1.4), rel=0.15)  # of Beta(0.2, 0.2)
    assert float(narrow.var()) == pytest.approx(1 / 12, rel=0.15)  # of Beta(1, 1)


def test_of_two_mixtures_each_has_its_turn() -> None:
    kinds = {
        "cutmix" if set(mixed("cutmix+mixup", s)[0][0].unique().tolist()) <= {0.0, 7.0} else "mixup" for s in range(40)
    }
    assert kinds == {"cutmix", "mixup"}


def test_names_without_a_mixture_have_none() -> None:
    assert make_mixing("crop+flip", generator()) is None and make_mixing("mixup", generator(), 0.0) is None
    assert make_augmentation("mixup+cutmix", Scaling((0.0,), (1.0,)), generator()) is None
    assert make_augmentation("flip+mixup", Scaling((0.0,), (1.0,)), generator()) is not None


def test_fused_trials_mix_their_own_images() -> None:
    mixing = make_mixing("mixup", generator(4))
    assert mixing is not None
    images = torch.stack([torch.full((1, 2, 2), float(n)) for n in (0, 10, 1, 11, 2, 12)])  # two trials take turns
    result, target = mixing(images, torch.tensor([[0, 1, 2], [10, 11, 12]]))
    assert torch.equal(target.others, torch.tensor([[2, 0, 1], [12, 10, 11]]))
    expected = target.share * target.labels + (1 - target.share) * target.others
    torch.testing.assert_close(result[:, 0, 0, 0], expected.t().flatten())


def test_training_with_mixtures_goes_on_exactly() -> None:
    config = TrainConfig(augment="shift+mixup+cutmix", batch_size=32)
    whole, half = (SingleTrainer(make("mlp_small"), digits(), config) for _ in range(2))
    results = [whole.step() for _ in range(2)]
    half.step()
    again = SingleTrainer(make("mlp_small"), digits(), config)
    again.load(half.save())
    assert again.step()[0].train_loss == results[1][0].train_loss
    _, together = fused([make("mlp_small")] * 2, digits(), [config, config])
    assert all(0 < one.train_loss < 5 for group in together for one in group)
