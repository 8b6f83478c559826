"""`hpo models`: the table of architectures, and the layers of one."""

from __future__ import annotations

import pytest

from hpo.__main__ import main
from models import MODELS
from models.libraries import names
from tests.helpers.commands import printed


def test_models_is_the_zoo_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(MODELS)
    assert "134,301,514" in lines[-1] and "0.22" in lines[1]


def test_models_with_a_name_is_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "lenet5", "--shape", "3", "32", "32", "--classes", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Conv2d(3, 6, kernel_size=(5, 5), stride=(1, 1))" in lines[1] and "6x28x28" in lines[1]
    assert lines[-1].startswith("lenet5: ")


def test_models_with_a_library_lists_its_classifiers(capsys: pytest.CaptureFixture[str]) -> None:
    listed = printed(capsys, "models", "torchvision").splitlines()
    assert len(listed) == 1 + len(names("torchvision"))
    assert [line.split() for line in listed if "resnet18 " in line] == [["torchvision:resnet18", "11,689,512"]]
    assert "timm:resnet18\n" in "\n".join(map(str.rstrip, printed(capsys, "models", "timm").splitlines()))


def test_a_librarys_network_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "models", "torchvision:squeezenet1_1", "--shape", 3, 32, 32, "--classes", 7).splitlines()
    assert "Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1))" in lines[1] and "64x30x30" in lines[1]
    assert lines[-1].startswith("torchvision:squeezenet1_1: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "models torchvision:resnet81",
            "model torchvision:resnet81: torchvision has no such classifier; did you",
        ),
        ("models timm:", "model timm:: give timm:NAME"),
        ("models lenet", "model lenet: unknown (did you mean lenet5?)"),
        ("models cnn --shape 1 2 2", "cnn: needs images of at least 4x4, these are 2x2"),
        ("models cnn --classes 0", "must be at least 1"),
        ("models cnn --shape 1 2", "--shape"),
        ("models no.such:thing", "--model no.such:thing: cannot be imported (ModuleNotFoundError"),
    ],
)
def test_wrong_input_to_models(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("hpo: ") and message in err and err.count("\n") == 1
