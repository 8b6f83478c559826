"""What `hpo train` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hpo.spec.assignments import parse_assignments
from hpo.spec.checks import at_least, check_name, check_seed, choice
from hpo.spec.settings import DEVICES, MANY, SWITCH, DataSpec
from hpo.system.errors import UserError
from trainers.config import PRECISIONS

GROUP = Parameter(name="*")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What is not given comes from --recipe or --from, else from the architecture's default configuration."""

    lr: float | None = None
    """Learning rate, the highest one of a schedule."""
    batch_size: int | None = None
    """Images of a step."""
    optimizer: str | None = None
    """adam, adamw or sgd."""
    weight_decay: float | None = None
    """L2 penalty of adam and sgd, decoupled for adamw."""
    momentum: float | None = None
    """Of sgd."""
    schedule: str | None = None
    """Of the learning rate: none, step, cosine or one-cycle."""
    step_epochs: int | None = None
    """Epochs between the steps of --schedule step."""
    step_factor: float | None = None
    """What such a step multiplies the learning rate by."""
    augment: str | None = None
    """none, or rotate-crop: every image turned by up to 15 degrees, one in ten cropped to its middle."""
    dropout: float | None = None
    """Of architectures that have it."""
    activation: str | None = None
    """relu, leaky_relu, elu, gelu, silu or tanh, of architectures that have a choice."""
    pretrained: str | None = None
    """Of vgg16: whole (train all of ImageNet's weights on), head (the last layer alone) or none."""
    fixed: Annotated[tuple[str, ...], MANY, Parameter(name="--set")] = ()
    """A hyperparameter of an architecture of your own: --set width=16"""

    def given(self) -> dict[str, tuple[str, Any]]:
        """Hyperparameter to (the flag as the user wrote it, value)."""
        flags = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "fixed"}
        named = {
            key: (f"--{key.replace('_', '-')} {value}", value) for key, value in flags.items() if value is not None
        }
        free = parse_assignments("--set", self.fixed)
        for key in set(named) & set(free):
            raise UserError(f"--set {key}={free[key]}: {named[key][0]} is given too; choose one of them")
        return {**named, **{key: (f"--set {key}={value}", value) for key, value in free.items()}}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """What is trained, on what, and where the results go."""

    model: str | None = None
    """The architecture, one of `hpo models` or MODULE:NAME. [default: cnn]"""
    recipe: str | None = None
    """The recipe of a reproduced system (A, B, C, D or E, with --model where it has several), or P, Podium's own."""
    origin: Annotated[Path | None, Parameter(name="--from")] = None
    """results/NAME: the configuration, seed and data of its winner."""
    epochs: int | None = None
    """Epochs to train. [default: 10, or those of --recipe or --from]"""
    seed: int | None = None
    """Of weights, batch order, dropout and augmentation. [default: 0, or that of --from]"""
    threads: int = 1
    """CPU threads; the same seed gives the same weights, bit for bit, on one."""
    hyperparameters: Annotated[Hyperparameters, GROUP] = field(default_factory=Hyperparameters)
    data: Annotated[DataSpec, GROUP] = field(default_factory=DataSpec)
    precision: str | None = None
    """float32 or bf16 (autocast; weights stay float32). [default: float32, or that of --from]"""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    name: str | None = None
    """Of the folder for the results. [default: the architecture and the time]"""
    results_dir: Path = Path("results")
    """Where the folder is made."""
    quiet: Annotated[bool, SWITCH] = False
    """Prints only where the results are."""

    def __post_init__(self) -> None:
        at_least("--epochs", self.epochs, 1)
        at_least("--threads", self.threads, 1)
        check_seed(self.seed)
        choice("--precision", self.precision or "float32", PRECISIONS)
        choice("--device", self.device, DEVICES)
        check_name("--name", self.name)
        if self.recipe is not None and self.origin is not None:
            raise UserError(f"--recipe {self.recipe} --from {self.origin}: choose one of them")
