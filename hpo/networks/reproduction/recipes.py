"""The reproduced systems: how each trained its models, and which results it published.

A recipe is a TrainConfig, the architecture's hyperparameters and the normalization. A claim has the results on the
system's own page; its note explains a number that is not what it seems.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hpo.system.errors import UserError
from trainers.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Published results, None where nothing was published. Accuracies are in [0, 1], losses in nats per image."""

    test_accuracy: float | None = None
    parameters: int | None = None
    train_accuracy: float | None = None
    train_loss: float | None = None
    test_loss: float | None = None
    minutes: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a system trains a model."""

    system: str
    model: str
    train: TrainConfig
    claim: Claim
    arch: dict[str, Any] = field(default_factory=dict)
    """The architecture's own hyperparameters."""
    mean: float | None = None
    """Normalization of pixels in [0, 1]; None for the mean of the training split."""
    std: float | None = None
    """Normalization of pixels in [0, 1]; None for the standard deviation of the training split."""


SYSTEMS = {
    "A": "a comparison of NN, CNN and VGG16",
    "B": "the way to 99.4 % within 15 epochs under 8,000 parameters",
    "C": "LeNet-5 against a perceptron of its size",
    "D": "deep-digits: MLP and CNN",
    "E": "a baseline against a CNN, tuned by hand",
    "P": "Podium's own: what its search found",
}

_GUESSED = "optimizer not published, SGD without momentum taken"


def _a(model: str, claim: Claim, **changed: Any) -> Recipe:
    settings = {"lr": 1e-3, "batch_size": 32, "optimizer": "sgd", "momentum": 0.0, "epochs": 50, **changed}
    return Recipe(system="A", model=model, train=TrainConfig(**settings), claim=claim)


def _b(model: str, claim: Claim, **changed: Any) -> Recipe:
    settings = {"lr": 0.01, "batch_size": 128, "optimizer": "sgd", "epochs": 20, "augment": "rotate-crop", **changed}
    return Recipe(system="B", model=model, train=TrainConfig(**settings), claim=claim)


def _c(model: str, claim: Claim, **arch: Any) -> Recipe:
    train = TrainConfig(lr=0.01, batch_size=64, optimizer="sgd", epochs=20)
    return Recipe(system="C", model=model, train=train, claim=claim, arch=arch)


def _d(model: str, claim: Claim) -> Recipe:
    train = TrainConfig(lr=3e-3, batch_size=64, epochs=10)
    return Recipe(system="D", model=model, train=train, claim=claim, arch={"dropout": 0.2}, mean=0.5, std=0.5)


def _e(model: str, claim: Claim) -> Recipe:
    train = TrainConfig(lr=1e-3, batch_size=64, epochs=5)
    return Recipe(system="E", model=model, train=train, claim=claim, mean=0.1307, std=0.3081)


def _p(model: str, activation: str = "relu", **changed: Any) -> Recipe:
    settings = {"batch_size": 64, "optimizer": "adamw", "schedule": "one-cycle", "epochs": 15, **changed}
    claim = Claim(note="found by our own search, on validation images alone; nothing is claimed")
    return Recipe(system="P", model=model, train=TrainConfig(**settings), claim=claim, arch={"activation": activation})


_CHOSEN_ON_TEST = "best of all epochs by test accuracy"
_DIVIDED = "the claimed loss is divided by the batch size a second time"

RECIPES: tuple[Recipe, ...] = (
    _a(
        "mlp_wide",
        Claim(
            parameters=669_706,
            train_loss=0.204284,
            train_accuracy=0.9428,
            test_loss=0.202827,
            test_accuracy=0.9401,
            minutes=8.36,
            note=_GUESSED,
        ),
    ),
    _a(
        "cnn_deep",
        Claim(
            parameters=3_797_962,
            train_loss=0.046307,
            train_accuracy=0.9854,
            test_loss=0.086381,
            test_accuracy=0.9728,
            minutes=10.55,
            note=_GUESSED,
        ),
    ),
    _a(
        "vgg16",
        Claim(
            parameters=138_357_544,
            train_loss=0.000568,
            train_accuracy=0.9998,
            test_loss=0.037905,
            test_accuracy=0.9934,
            minutes=660.75,
            note="optimizer not published, Adam 1e-5 taken; its count is of ImageNet's head, before it is replaced",
        ),
        optimizer="adam",
        lr=1e-5,
    ),
    _b("compact_190k", Claim(parameters=190_442, train_accuracy=0.9857, test_accuracy=0.9895, note=_CHOSEN_ON_TEST)),
    _b("compact_18k", Claim(parameters=18_258, train_accuracy=0.9917, test_accuracy=0.9935, note=_CHOSEN_ON_TEST)),
    _b(
        "compact_6k",
        Claim(parameters=6_270, train_accuracy=0.9903, test_accuracy=0.9934, note=_CHOSEN_ON_TEST),
        batch_size=64,
    ),
    _b(
        "compact_7k",
        Claim(parameters=7_074, train_accuracy=0.9894, test_accuracy=0.9946, note=_CHOSEN_ON_TEST),
        lr=0.018,
        batch_size=64,
        schedule="step",
        step_epochs=6,
        step_factor=0.12,
        epochs=15,
    ),
    _c("mlp_small", Claim(parameters=45_846, test_accuracy=0.9714)),
    _c("lenet5", Claim(parameters=44_426, test_accuracy=0.9877)),
    _c(
        "lenet5_bn",
        Claim(
            parameters=44_710,
            test_accuracy=0.9886,
            note="its BatchNorm and dropout are declared and never called: the claim is of plain lenet5",
        ),
        dropout=0.5,
    ),
    _d("mlp", Claim(test_accuracy=0.95, note="claimed as about 95 %")),
    _d(
        "cnn_dropout",
        Claim(test_accuracy=0.995, note="claimed on 60,000 images: its test set is the training set"),
    ),
    _e("mlp", Claim(test_loss=0.0013, test_accuracy=0.9742, note=_DIVIDED)),
    _e("cnn", Claim(test_loss=0.0006, test_accuracy=0.9888, note=_DIVIDED)),
    # The winner of 20 trials with ASHA on 20,000 training images: results/reference/recipe-search.txt.
    _p("compact_7k", lr=3e-3, optimizer="adam", weight_decay=1e-6, augment="rotate-crop"),
    # What the published one loses by the activation of its logits.
    replace(
        _b("compact_18k", Claim(note="B's recipe, without the activation of the logits; nothing is claimed")),
        system="P",
        arch={"activated_logits": False},
    ),
    # Both: results/reference/tiny-search.txt.
    _p("tiny_8k", "gelu", lr=0.0436, weight_decay=0.01, augment="rotate-crop+shift"),
    _p("tiny_2k", "silu", lr=0.0277, weight_decay=0.01, augment="rotate-crop", ema=0.99, epochs=20),
)


def recipes(system: str | None = None, models: tuple[str, ...] = ()) -> list[Recipe]:
    """Selects recipes: those of one system, or of all when it is None; of some models, or of all when none is given.

    Raises UserError, with the choices, for an unknown system or model.
    """
    if system is not None and system not in SYSTEMS:
        raise UserError(f"--system {system}: choose from {', '.join(f'{key} ({SYSTEMS[key]})' for key in SYSTEMS)}")
    found = [recipe for recipe in RECIPES if system in (None, recipe.system)]
    names = list(dict.fromkeys(recipe.model for recipe in found))
    for model in models:
        if model not in names:
            of = f" in system {system}" if system else ""
            raise UserError(f"--model {model}: no recipe of that name{of}; choose from {', '.join(names)}")
    return [recipe for recipe in found if not models or recipe.model in models]
