from __future__ import annotations

import pytest
import torch

from trainers.augment import automatic
from trainers.augment.erase import erase
from trainers.augment.policies import make_augmentation
from trainers.config import AUGMENTATIONS, MIXTURES, augmentation_parts
from trainers.data.images.scaling import Scaling

SCALING = Scaling((0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
NAMES = [name for name in AUGMENTATIONS if name not in ("none", *MIXTURES)]


def images(count: int = 50) -> torch.Tensor:
    pixels = torch.rand(count, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    shape = (1, 3, 1, 1)
    return (pixels - torch.tensor(SCALING.mean).view(shape)) / torch.tensor(SCALING.std).view(shape)


@pytest.mark.parametrize("name", [*NAMES, "crop+flip+erase", "zoom+color"])
def test_each_follows_the_generator_and_keeps_the_form(name: str) -> None:
    before = images()
    made = [make_augmentation(name, SCALING, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    first, second, other = (augment(before) for augment in made if augment)
    assert torch.equal(first, second) and not torch.equal(first, other) and not torch.equal(first, before)
    assert first.shape == before.shape and first.dtype == before.dtype and torch.isfinite(first).all()


@pytest.mark.parametrize("name", ["zoom", "color", "trivial", "rand", "rotate-crop"])
def test_strength_changes_more(name: str) -> None:
    before = images(400)
    made = [make_augmentation(name, SCALING, torch.Generator().manual_seed(1), strength) for strength in (0.2, 1.0)]
    weak, strong = ((augment(before) - before).abs().mean() for augment in made if augment)
    assert weak < strong


@pytest.mark.parametrize("augment", [automatic.trivial_augment, automatic.rand_augment])
def test_automatic_augmentation_uses_every_operation(augment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()
    operations = automatic._operations

    def noted(most: dict[str, float]) -> list[automatic.Operation]:
        def note(number: int, operation: automatic.Operation) -> automatic.Operation:
            return lambda *given: (used.add(number), operation(*given))[1]

        return [note(number, operation) for number, operation in enumerate(operations(most))]

    monkeypatch.setattr(automatic, "_operations", noted)
    pixels = torch.rand(300, 3, 12, 12)
    after = augment(pixels, torch.Generator().manual_seed(0))  # type: ignore[operator]
    assert used == set(range(len(operations(automatic._TRIVIAL)))) and len(used) == 14
    assert after.min() >= 0 and after.max() <= 1


def test_every_second_image_is_erased_in_part() -> None:
    before = torch.ones(2000, 1, 20, 24)
    after = erase(before, torch.Generator().manual_seed(0))
    share = (after == 0).double().mean((1, 2, 3))
    hit = share[share > 0]
    assert 0.45 < len(hit) / len(share) < 0.55 and hit.max() < 0.24 and hit.min() > 0.005


def test_names() -> None:
    assert make_augmentation("none", SCALING, torch.Generator()) is None
    assert augmentation_parts("shift-flip+erase") == ("shift", "flip", "erase")
    with pytest.raises(ValueError, match="augment 'turn': choose from none, rotate-crop, shift, shift-flip, crop"):
        make_augmentation("flip+turn", SCALING, torch.Generator())
