"""What `hpo train` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hpo.spec.checks import at_least, check_name, check_seed, choice
from hpo.spec.help_groups import HYPERPARAMETERS, OPTIONS, OUTPUT, TRAINING
from hpo.spec.settings import MANY, SWITCH, DataSpec, check_device, check_stream
from hpo.spec.spaces.assignments import parse_assignments
from hpo.spec.spaces.own_functions import check_metric, check_trainer
from hpo.system.errors import UserError
from trainers.config import PRECISIONS

GROUP = Parameter(name="*")
IN_TRAINING, IN_OUTPUT = Parameter(group=TRAINING), Parameter(group=OUTPUT)


@Parameter(name="*", group=HYPERPARAMETERS)
@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What is not given comes from --recipe or --from, else from the architecture's default configuration."""

    lr: float | None = None
    """Learning rate. With --schedule it is the highest one."""
    batch_size: int | None = None
    """Number of images in a batch."""
    optimizer: str | None = None
    """Optimizer: adam, adamw or sgd."""
    weight_decay: float | None = None
    """Weight decay: an L2 penalty with adam and sgd, decoupled from the gradient with adamw."""
    momentum: float | None = None
    """Momentum of the optimizer sgd."""
    nesterov: bool | None = None
    """Nesterov's momentum in the optimizer sgd. [default: no]"""
    beta1: float | None = None
    """Decay of the mean of the gradients in the optimizers adam and adamw. It is what momentum is for sgd."""
    schedule: str | None = None
    """Schedule of the learning rate: none, step, cosine, one-cycle, wsd or linear. wsd rises within the first 5 % of
    the steps, stays, and falls to 0 within the last 30 %. linear rises in the same way and then falls to 0."""
    warm_up: float | None = None
    """Share of all steps in which the learning rate rises, with the schedules wsd and linear. [default: 0.05]"""
    step_epochs: int | None = None
    """Number of epochs between two steps of --schedule step."""
    step_factor: float | None = None
    """Factor that each step of --schedule step multiplies the learning rate by."""
    loss: str | None = None
    """Loss: cross_entropy, focal, bce, or your own as MODULE:NAME or FILE.py:NAME, which takes logits and labels and
    returns a single number. [default: cross_entropy]"""
    focal_gamma: float | None = None
    """How much less the loss focal counts images that are classified well. [default: 2]"""
    class_weights: str | None = None
    """Weights of the classes in the loss: none, or balanced, by one over their counts. [default: none]"""
    sampler_weights: str | None = None
    """How training images are drawn: none, each once an epoch, or balanced, all classes equally often. [default:
    none]"""
    augment: str | None = None
    """Augmentation: none, rotate-crop, shift, crop, flip, zoom, color, trivial, rand, erase, mixup, cutmix, or several
    joined by +, as in crop+flip. rotate-crop turns every image by up to 15 degrees and crops one in ten to its middle.
    shift moves every image by up to a fourteenth of its side, crop by an eighth. flip mirrors every second image.
    shift-flip is shift+flip. zoom shows a part of the image. color changes brightness, contrast and saturation. trivial
    is TrivialAugment, rand is RandAugment. erase covers a rectangle. mixup and cutmix mix two images and their
    labels."""
    augment_strength: float | None = None
    """Factor of the amounts by which --augment changes images. [default: 1]"""
    label_smoothing: float | None = None
    """Share of each label that is spread evenly over all classes, in training only. [default: 0, none]"""
    ema: float | None = None
    """Decay of the exponential moving average of the weights, such as 0.998. The averaged weights are evaluated and
    kept. [default: 0, no average]"""
    clip_norm: float | None = None
    """Largest norm of the gradient. A longer gradient is scaled down to it. [default: 0, no limit]"""
    dropout: float | None = None
    """Share of units to drop, for architectures with dropout."""
    activation: str | None = None
    """Activation, for architectures with a choice: relu, leaky_relu, elu, gelu, silu or tanh."""
    pretrained: str | None = None
    """Start of vgg16 and of networks of torchvision and timm: none (random weights), whole (pretrained weights, all are
    trained) or head (pretrained weights, only the last layer is trained)."""
    fixed: Annotated[tuple[str, ...], MANY, Parameter(name="--set")] = ()
    """Sets a hyperparameter that has no flag, such as one of your own architecture: --set width=16"""

    def given(self) -> dict[str, tuple[str, Any]]:
        """Hyperparameter to (the flag as the user wrote it, value). UserError for one that is given twice."""
        flags = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "fixed"}
        named = {
            key: (f"--{key.replace('_', '-')} {value}", value) for key, value in flags.items() if value is not None
        }
        free = parse_assignments("--set", self.fixed)
        for key in set(named) & set(free):
            raise UserError(f"--set {key}={free[key]}: {named[key][0]} is given too; choose one of them")
        return {**named, **{key: (f"--set {key}={value}", value) for key, value in free.items()}}


@Parameter(name="*", group=OPTIONS)
@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """What is trained, on what, and where the results go."""

    model: str | None = None
    """Architecture: a name from `hpo models`, torchvision:NAME, timm:NAME, or your own as MODULE:NAME or FILE.py:NAME.
    [default: cnn]"""
    recipe: str | None = None
    """Recipe to train by: A, B, C, D or E of a reproduced system, or P, Podium's own. Give --model too where the system
    has several networks."""
    origin: Annotated[Path | None, Parameter(name="--from")] = None
    """Folder results/NAME of an earlier run. Its winner gives the configuration, the seed and the data set."""
    metric: Annotated[str | None, IN_TRAINING] = None
    """What epochs are compared by: accuracy, balanced_accuracy, macro_f1, top5, log_loss, auroc, or your own as
    MODULE:NAME or FILE.py:NAME. [default: that of --from, otherwise accuracy]"""
    trainer: Annotated[str | None, IN_TRAINING] = None
    """Your own training loop, a class MODULE:NAME or FILE.py:NAME: made from (make_model, data, config), with methods
    train_epoch, save and load. Further arguments of its constructor are set as --set trainer_NAME=VALUE. [default: that
    of --from, otherwise Podium's]"""
    epochs: int | None = None
    """Number of epochs to train. [default: that of --recipe or --from, otherwise 10]"""
    seed: Annotated[int | None, IN_TRAINING] = None
    """Seed of weights, batch order, dropout and augmentation. [default: that of --from, otherwise 0]"""
    threads: Annotated[int, IN_TRAINING] = 1
    """Number of CPU threads. With one thread the same seed gives the same weights, bit for bit."""
    hyperparameters: Annotated[Hyperparameters, GROUP] = field(default_factory=Hyperparameters)
    data: Annotated[DataSpec, GROUP] = field(default_factory=DataSpec)
    precision: Annotated[str | None, IN_TRAINING] = None
    """Number format: float32 or bf16. With bf16 the layers compute in bfloat16 and the weights stay float32. [default:
    that of --from, otherwise float32]"""
    device: str = "auto"
    """Device to train on: cpu, cuda (or gpu) or mps. auto takes cuda if there is such a GPU, otherwise cpu."""
    name: str | None = None
    """Name of the folder for the results, in --results-dir. [default: the architecture and the time]"""
    results_dir: Annotated[Path, IN_OUTPUT] = Path("results")
    """Folder of all runs."""
    quiet: Annotated[bool, SWITCH, IN_OUTPUT] = False
    """Prints only where the results are."""

    def __post_init__(self) -> None:
        at_least("--epochs", self.epochs, 1)
        at_least("--threads", self.threads, 1)
        check_seed(self.seed)
        choice("--precision", self.precision or "float32", PRECISIONS)
        check_device(self)
        if self.metric is not None:
            check_metric(self.metric)
        if self.trainer is not None:
            check_trainer(self.trainer)
        if self.data.stream:
            check_stream(self.trainer)
        check_name("--name", self.name)
        if self.recipe is not None and self.origin is not None:
            raise UserError(f"--recipe {self.recipe} --from {self.origin}: choose one of them")
