from __future__ import annotations

import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.spec.search import SearchSpec
from hpo.spec.spaces.search_space import Space, base_space, configuration, has_photos, search_space
from models import MODELS, count_parameters


def test_every_architecture_has_a_space_with_the_documented_bounds() -> None:
    for name in MODELS:
        space = base_space(name)
        low, high = (1e-5, 1e-2) if name == "vgg16" else (5e-4, 2e-2)
        assert space.distributions["lr"] == FloatDistribution(low, high, log=True)
        assert space.distributions["batch_size"] == CategoricalDistribution((32, 64, 128, 256))
        assert {"augment", "label_smoothing"} <= set(space.distributions)
        fixed = {key: d.choices[0] for key, d in space.distributions.items() if len(getattr(d, "choices", (1, 2))) == 1}
        assert fixed == {"optimizer": "adamw", "weight_decay": 1e-2, "schedule": "linear", "ema": 0.99}
        assert ("dropout" in space.distributions) is not name.startswith(("compact", "tiny"))
        assert ("activation" in space.distributions) is (name != "vgg16")


@pytest.mark.parametrize("name", MODELS)
def test_the_default_configuration_lies_in_the_space_and_builds_the_published_network(name: str) -> None:
    space = search_space(name, SearchSpec())
    for key, distribution in space.distributions.items():
        assert distribution._contains(distribution.to_internal_repr(space.default[key])), key
    arch = {key: value for key, value in space.default.items() if key in ("dropout", "activation")}
    assert count_parameters(name, (1, 28, 28), 10, **arch) == count_parameters(name, (1, 28, 28), 10)


def test_defaults_are_the_architectures_own() -> None:
    defaults = {name: search_space(name, SearchSpec()).default for name in ("cnn", "cnn_dropout", "lenet5_bn", "vgg16")}
    assert [d["dropout"] for d in defaults.values()] == [0.0, 0.2, 0.5, 0.5]
    assert [d["lr"] for d in defaults.values()] == [3e-3, 3e-3, 3e-3, 1e-4]


def test_set_and_range_narrow_and_the_default_follows() -> None:
    spec = SearchSpec(fixed=("batch_size=32", "activation=gelu"), ranges=("lr=1e-2:1e-1:log", "batch_size=8:24"))
    space = search_space("cnn", spec)
    assert space.distributions["lr"] == FloatDistribution(1e-2, 1e-1, log=True)
    assert space.distributions["batch_size"] == CategoricalDistribution((32,))
    assert space.default["lr"] == 1e-2 and space.default["activation"] == "gelu"
    ranged = search_space("cnn", SearchSpec(ranges=("batch_size=8:24",)))
    assert ranged.distributions["batch_size"] == IntDistribution(8, 24) and ranged.default["batch_size"] == 24


def test_a_file_narrows_its_own_architecture_alone() -> None:
    table = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "activation": ["relu", "gelu"], "dropout": 0.2}
    spec = SearchSpec(space={"cnn": table})
    cnn = search_space("cnn", spec).distributions
    assert cnn["activation"] == CategoricalDistribution(("relu", "gelu"))
    assert cnn["dropout"] == CategoricalDistribution((0.2,))
    assert search_space("mlp", spec).distributions == base_space("mlp").distributions


SETTINGS = {
    "momentum=0.5": 0.5,
    "beta1=0.8": 0.8,
    "schedule=wsd": "wsd",
    "schedule=linear": "linear",
    "augment=shift": "shift",
    "augment=shift-flip": "shift-flip",
    "label_smoothing=0.1": 0.1,
    "label_smoothing=0": 0.0,
    "ema=0.998": 0.998,
    "clip_norm=1": 1.0,
}


@pytest.mark.parametrize("text", SETTINGS)
def test_every_setting_of_the_training_can_be_set(text: str) -> None:
    key, value = text.split("=")[0], SETTINGS[text]
    space = search_space("cnn", SearchSpec(fixed=(text,)))
    assert space.default[key] == value and space.distributions[key] == CategoricalDistribution((value,))


def test_every_setting_of_the_training_can_be_given_a_range_or_choices() -> None:
    ranges = ("label_smoothing=0:0.2", "clip_norm=0.1:10:log", "ema=0.9:0.999", "beta1=0.8:0.95")
    table = {"schedule": ["wsd", "linear"], "augment": ["none", "shift"], "step_factor": 0.5}
    space = search_space("cnn", SearchSpec(ranges=ranges, space={"cnn": table}))
    assert space.distributions["label_smoothing"] == FloatDistribution(0.0, 0.2)
    assert space.distributions["clip_norm"] == FloatDistribution(0.1, 10.0, log=True)
    assert space.distributions["schedule"] == CategoricalDistribution(("wsd", "linear"))
    assert (space.default["ema"], space.default["beta1"], space.default["augment"]) == (0.99, 0.9, "shift")


def test_a_list_of_values_is_a_choice() -> None:
    space = search_space("cnn", SearchSpec(ranges=("activation=relu, gelu", "batch_size=32,96", "lr=1e-3,3e-3")))
    assert space.distributions["activation"] == CategoricalDistribution(("relu", "gelu"))
    assert space.distributions["batch_size"] == CategoricalDistribution((32, 96))
    assert space.distributions["lr"] == CategoricalDistribution((1e-3, 3e-3)) and space.default["lr"] == 3e-3


RESNET = "torchvision:resnet18"


def resnet(*ranges: str, fixed: tuple[str, ...] = ()) -> Space:
    return search_space(RESNET, SearchSpec(model=(RESNET,), ranges=ranges, fixed=fixed))


def test_a_librarys_network_has_the_common_space_without_what_it_does_not_take() -> None:
    space = resnet()
    assert "activation" not in space.distributions and "dropout" not in space.distributions
    assert (
        space.distributions["lr"] == FloatDistribution(5e-4, 2e-2, log=True) and "pretrained" not in space.distributions
    )
    assert resnet(fixed=("stem=full",)).default["stem"] == "full"
    efficient = search_space("torchvision:efficientnet_b0", SearchSpec(ranges=("stochastic_depth=0:0.4",)))
    assert efficient.default["dropout"] == 0.2 and efficient.default["stochastic_depth"] == pytest.approx(0.1875)


def test_fine_tuning_has_small_learning_rates() -> None:
    small = FloatDistribution(1e-5, 3e-3, log=True)
    for space in (resnet("pretrained=whole,head"), resnet(fixed=("pretrained=head",))):
        assert space.distributions["lr"] == small and space.default["lr"] == 3e-4
    assert resnet("pretrained=none,whole").distributions["lr"] == FloatDistribution(5e-4, 2e-2, log=True)
    said = resnet("pretrained=whole,head", "lr=1e-4:1e-2:log")
    assert said.distributions["lr"] == FloatDistribution(1e-4, 1e-2, log=True) and said.default["lr"] == 3e-3
    vgg = search_space("vgg16", SearchSpec(model=("vgg16",), fixed=("pretrained=whole",)))
    assert vgg.default["lr"] == 1e-4  # as before
    assert configuration(RESNET, {})["lr"] == 3e-3
    assert configuration(RESNET, {"pretrained": ("--pretrained whole", "whole")})["lr"] == 3e-4
    both = {"pretrained": ("--pretrained whole", "whole"), "lr": ("--lr 0.01", 0.01)}
    assert configuration(RESNET, both)["lr"] == 0.01


WRONG = [
    (
        "--range",
        "activation=relu,rellu",
        "--range activation=relu,rellu: unknown (did you mean relu?); choose from relu",
    ),
    ("--range", "lr=1e-3,", "--range lr=1e-3,: '' is not a number"),
    ("--set", "stem=small", "--set stem=small: unknown; choose from lr"),
    ("--range", "lr=1e-2:1e-4:log", "--range lr=1e-2:1e-4:log: low 0.01 must be below high 0.0001"),
    ("--range", "lr=0:1e-2:log", "outside a logarithm's domain"),
    ("--range", "lr=-1:1e-2", "lr must be over 0"),
    ("--range", "lr=a:b", "'a' is not a number"),
    ("--range", "lr=0.1", "write NAME=LOW:HIGH"),
    ("--range", "lr=1:2:cubic", "write NAME=LOW:HIGH"),
    ("--range", "lr", "write NAME=VALUE"),
    ("--range", "dropout=0.5:1.0", "dropout must be at least 0 and under 1"),
    ("--range", "learning_rate=1:2", "--range learning_rate=1:2: unknown (did you mean lr?); choose from lr, dropout"),
    ("--range", "activation=1:2", "unknown; choose from relu"),
    ("--range", "batch_size=1.5:9", "1.5 is not a whole number"),
    ("--set", "dropouts=0.1", "--set dropouts=0.1: unknown (did you mean dropout?); choose from lr, dropout"),
    ("--set", "activation=rellu", "--set activation=rellu: unknown (did you mean relu?); choose from relu"),
    ("--set", "lr=0", "lr must be over 0"),
    ("--set", "lr=nan", "lr must be over 0"),
    ("--set", "lr=inf", "lr must be over 0"),
    ("--set", "lr=fast", "'fast' is not a number"),
    ("--set", "batch_size=0", "batch_size must be a whole number from 1 to"),
    ("--set", "batch_size=64.5", "64.5 is not a whole number"),
    ("--set", "momentum=1", "momentum must be at least 0 and under 1"),
    ("--set", "beta1=1", "beta1 must be at least 0 and under 1"),
    ("--set", "label_smoothing=1", "label_smoothing must be at least 0 and under 1"),
    ("--range", "label_smoothing=-0.1:0.2", "label_smoothing must be at least 0 and under 1"),
    ("--set", "ema=1", "ema must be at least 0 and under 1; 0 is no average"),
    ("--set", "ema=on", "'on' is not a number"),
    ("--set", "clip_norm=-1", "clip_norm must be at least 0 and finite; 0 is no clipping"),
    ("--set", "clip_norm=inf", "clip_norm must be at least 0 and finite"),
    ("--set", "schedule=wsb", "--set schedule=wsb: unknown (did you mean wsd?); choose from none, step, cosine"),
    ("--set", "augment=shifts", "--set augment=shifts: unknown (did you mean shift?); choose from none, rotate-crop"),
]


@pytest.mark.parametrize(("flag", "text", "message"), WRONG)
def test_wrong_spaces_are_refused_in_one_line(flag: str, text: str, message: str) -> None:
    spec = SearchSpec(fixed=(text,)) if flag == "--set" else SearchSpec(ranges=(text,))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        search_space("cnn", spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"lr": []}, "needs at least one choice"),
        ({"lr": {"low": 1}}, "a range is"),
        ({"lr": {"low": 1, "high": 2, "step": 3}}, "a range is"),
        ({"lr": {"low": 2, "high": 1}}, "must be below high"),
        ({"lr": True}, "True is not a number"),
        ({"activation": ["relu", "x"]}, "activation: unknown; choose from relu"),
        ({"depth": 3}, r"\[space.cnn\] depth: unknown; choose from"),
        (3, "space.cnn = 3 is no table"),
    ],
)
def test_wrong_tables_are_refused(table: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search_space("cnn", SearchSpec(space={"cnn": table}))  # type: ignore[dict-item]


def test_a_table_of_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--config: \[space.cnnn\]: unknown \(did you mean cnn\?\)"):
        search_space("cnn", SearchSpec(space={"cnnn": {}}))


def test_a_flag_is_for_the_architectures_that_have_such_a_hyperparameter() -> None:
    spec = SearchSpec(model=("cnn", "compact_7k"), ranges=("dropout=0:0.3",), fixed=("lr=0.01",))
    assert search_space("cnn", spec).distributions["dropout"] == FloatDistribution(0.0, 0.3)
    assert "dropout" not in search_space("compact_7k", spec).distributions
    assert search_space("compact_7k", spec).default["lr"] == 0.01
    with pytest.raises(ValueError, match=r"--range dropout=0:0\.3: unknown; choose from lr"):
        search_space("compact_7k", SearchSpec(model=("compact_7k",), ranges=("dropout=0:0.3",)))


def test_widths_are_searched_only_if_asked_for() -> None:
    assert "width_1" not in search_space("cnn", SearchSpec()).distributions
    space = search_space("cnn", SearchSpec(search_widths=True))
    assert [space.default[f"width_{n}"] for n in (1, 2, 3, 4)] == [32, 64, 128, 64]
    assert space.distributions["width_3"] == IntDistribution(16, 256, log=True)
    narrowed = search_space("cnn", SearchSpec(search_widths=True, fixed=("width_1=8",), ranges=("width_2=4:9",)))
    assert narrowed.distributions["width_1"] == CategoricalDistribution((8,))
    assert narrowed.distributions["width_2"] == IntDistribution(4, 9)
    alone = search_space("mlp", SearchSpec(model=("mlp",), fixed=("width_2=7",))).distributions
    assert alone["width_2"] == CategoricalDistribution((7,)) and "width_1" not in alone


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width_1=0", "width_1 must be a whole number from 1 to 65536"),
        ("width_1=2.5", "2.5 is not a whole number"),
        ("width_9=4", "unknown"),
    ],
)
def test_a_wrong_width_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search_space("cnn", SearchSpec(fixed=(text,)))


def test_photos_are_mirrored_and_digits_are_not() -> None:
    assert has_photos("cifar10", 3) and not has_photos("svhn", 3) and not has_photos("photos", 1)
    spec = SearchSpec(model=("cnn",))
    plain, photos = (search_space("cnn", spec, of_photos=each) for each in (False, True))
    assert plain.default["augment"] == "shift" and photos.default["augment"] == "crop+flip"
    assert photos.distributions["augment"].choices == ("none", "shift", "crop+flip")  # type: ignore[attr-defined]
    said = search_space("cnn", SearchSpec(ranges=("augment=none,shift",)), of_photos=True)
    assert said.default["augment"] == "shift"
    assert configuration("cnn", {}, of_photos=True)["augment"] == "crop+flip"
    assert configuration("cnn", {"augment": ("--augment none", "none")}, of_photos=True)["augment"] == "none"
