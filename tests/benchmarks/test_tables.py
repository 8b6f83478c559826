"""The tables of real trials, and the searches on them; on made-up tables where a whole one would take hours."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import RandomSampler

from models import build_model
from tests.benchmarks.lcbench.runs import Run
from tests.benchmarks.lcbench.simulator import History
from tests.benchmarks.tables import compare, portfolio
from tests.benchmarks.tables.configurations import ARCHITECTURES, default_spaces, draw, read_spaces, write_spaces
from tests.benchmarks.tables.images import DATASETS, training_data
from tests.benchmarks.tables.make import CONFIGURATIONS, EPOCHS, REPEATED, Maker, Task, tasks, train
from tests.benchmarks.tables.pack import pack
from tests.benchmarks.tables.pool import Pool, PoolSampler
from tests.benchmarks.tables.portfolio import best, left_out
from tests.benchmarks.tables.speed import speed
from tests.benchmarks.tables.strategies import STRATEGIES, run
from tests.benchmarks.tables.tables import FILE, FOLDER, MOMENTS, Table, load
from trainers.config import TrainConfig, split_config
from trainers.single import SingleTrainer

SPACES = default_spaces()
COUNT = 60  # configurations of a made-up table


def made_curve(config: dict[str, object], rng: np.random.Generator) -> list[float]:
    """Rises towards a value that is highest at lr 5e-3."""
    last = 0.97 - 0.1 * abs(np.log10(float(str(config["lr"])) / 5e-3)) + 0.002 * rng.normal()
    moments = np.array([1 / 8, 1 / 4, 1 / 2, *range(1, 10)])
    return [round(float(value), 4) for value in last * (1 - 0.8 * np.exp(-moments))]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed file of two made-up tables."""
    source, rng = tmp_path_factory.mktemp("trials"), np.random.default_rng(0)
    write_spaces(source, SPACES)
    for name in ("mlp_small", "compact_7k"):
        keys = [
            (number, repetition) for number in range(COUNT) for repetition in (0, 1) if number < 5 or not repetition
        ]
        lines = []
        for number, repetition in keys:
            params = draw(name, SPACES[name], number)
            values = {"params": params, "accuracies": made_curve(params, rng), "seconds": 0.5}
            lines.append(json.dumps({"number": number, "repetition": repetition, **values}) + "\n")
        (source / f"{name}-digits.jsonl").write_text("".join(lines) + '{"number": 99, ')
    return pack(source, tmp_path_factory.mktemp("packed")).parent


@pytest.fixture(scope="module")
def made(packed: Path) -> list[Table]:
    return load(packed)


def test_configurations_are_always_the_same_and_the_first_is_the_recipe() -> None:
    for name, space in SPACES.items():
        assert draw(name, space, 0) == space.default
        drawn = [draw(name, space, number) for number in range(20)]
        assert drawn == [draw(name, space, number) for number in range(20)]
        assert len({config["lr"] for config in drawn}) == 20
        for config in drawn:
            assert config.keys() == space.distributions.keys()
            study = optuna.create_study()
            study.enqueue_trial(config)
            assert study.ask(fixed_distributions=space.distributions).params == config
    assert draw("mlp_small", SPACES["mlp_small"], 1)["lr"] != draw("lenet5", SPACES["lenet5"], 1)["lr"]


def test_the_tables_grow_together() -> None:
    wanted = list(tasks())
    assert len(set(wanted)) == len(wanted) == len(ARCHITECTURES) * len(DATASETS) * (CONFIGURATIONS + REPEATED)
    block = wanted[: 12 * 100]
    assert {(task.architecture, task.dataset) for task in block} == {(a, d) for a in ARCHITECTURES for d in DATASETS}
    assert max(task.number for task in block) == 49 and block[0].dataset == "digits"


def test_looking_in_the_middle_of_an_epoch_changes_nothing() -> None:
    data = training_data("digits", (0, 100), Path())
    params = draw("mlp_small", SPACES["mlp_small"], 1)
    assert params["dropout"] > 0
    result = train("mlp_small", data, params, seed=3)
    settings, arch = split_config(params)
    make = partial(build_model, "mlp_small", (1, 28, 28), 10, **arch)
    trainer = SingleTrainer(make, data, TrainConfig(**settings, epochs=EPOCHS, seed=3))
    plain = [round(trainer.step()[0].val_accuracy, 4) for _ in range(EPOCHS)]
    assert result["accuracies"][3:] == plain
    assert len(result["accuracies"]) == len(MOMENTS) and len(set(result["accuracies"][:4])) > 1
    assert 0 < result["seconds"] < 5


def test_what_is_there_is_not_trained_again(tmp_path: Path) -> None:
    wanted = [Task("mlp_small", "digits", 0, 0), Task("mlp_small", "digits", 0, 1)]
    Maker(tmp_path, Path()).make(wanted)
    file = tmp_path / "mlp_small-digits.jsonl"
    first, second = file.read_text().splitlines()
    file.write_text(first + "\n" + second[:30])  # as when it is killed while it writes
    Maker(tmp_path, Path()).make(wanted)
    kept, again = file.read_text().splitlines()
    assert kept == first
    assert json.loads(again)["accuracies"] == json.loads(second)["accuracies"] != json.loads(first)["accuracies"]


def test_tables_of_another_space_are_left_alone(tmp_path: Path) -> None:
    other = {**SPACES, "cnn": SPACES["compact_7k"]}
    write_spaces(tmp_path, other)
    assert read_spaces(tmp_path) == other
    with pytest.raises(ValueError, match="are of another search space"):
        Maker(tmp_path, Path())


def test_the_harder_mnist(mnist_dir: Path) -> None:
    plain, hard = (training_data(name, (300, 200), mnist_dir) for name in ("mnist", "mnist-hard"))
    assert hard.train.images.shape == (300, 1, 28, 28) and len(hard.validation) == 200
    assert torch.equal(hard.train.labels, plain.train.labels)
    assert abs(float(hard.train.images.mean())) < 1e-4 and float(hard.train.images.std()) == pytest.approx(1, abs=1e-4)
    assert float(hard.train.images.min()) == pytest.approx(hard.scaling.black[0], abs=1e-4)
    upright = np.corrcoef(hard.train.images.flatten(), plain.train.images.flatten())[0, 1]
    assert 0.2 < upright < 0.6
    training_data.cache_clear()
    assert torch.equal(training_data("mnist-hard", (300, 200), mnist_dir).train.images, hard.train.images)


def test_a_packed_table_is_what_was_trained(made: list[Table]) -> None:
    small, compact = made
    assert (small.name, compact.name) == ("mlp_small, digits", "compact_7k, digits")
    for table in made:
        space = SPACES[table.architecture]
        assert table.space == space
        assert table.configs == [draw(table.architecture, space, number) for number in range(COUNT)]
        assert table.curves.shape == (COUNT, len(MOMENTS)) and table.repeated.shape == (5, len(MOMENTS))
        assert table.by_epoch().shape == (COUNT, EPOCHS)
        assert (table.seconds == 0.5).all()


def test_a_pool_gives_each_configuration_once(made: list[Table]) -> None:
    table = made[0]
    pool = Pool(table)
    wanted = table.configs[7]
    near = {**wanted, "lr": wanted["lr"] * 1.001}
    assert pool.number(pool.take_nearest(near)) == 7
    assert pool.number(pool.take_nearest(near)) != 7
    study = optuna.create_study(sampler=PoolSampler(RandomSampler(seed=0), pool, [table.configs[9]]))
    numbers = [pool.number(study.ask(fixed_distributions=pool.space).params) for _ in range(COUNT - 2)]
    assert numbers[0] == 9 and len({*numbers, 7}) == COUNT - 1
    assert not pool.unused.any()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_of_a_table(made: list[Table], name: str) -> None:
    for table in made:
        result, again = (run(name, table, 20, seed=1) for _ in range(2))
        assert list(result.epochs) == list(again.epochs) and list(result.accuracy) == list(again.accuracy)
        values = 100 * table.by_epoch()[:, -1]
        recipe = 0.0 if name == "podium-without-recipe" else values[0]  # the first trial is never stopped
        assert recipe <= result.accuracy[-1] <= values.max()
        assert (20 < result.epochs[-1] < 20 * EPOCHS) == (name != "podium-without-stopping")
        assert result.seconds[-1] == pytest.approx(0.5 * result.epochs[-1])


def test_how_much_sooner_a_search_is_as_good() -> None:
    def runs(*accuracies: list[float]) -> list[Run]:
        histories = [History([1.0] * len(best), best, [len(best)]) for best in accuracies]
        return [Run.of("a table", "", seed, history) for seed, history in enumerate(histories)]

    slow, fast = runs([0, 0, 0, 90], [0, 92, 92, 92]), runs([0, 91], [91, 91])
    assert list(speed(fast, slow).factors) == [2 / 4]
    assert list(speed(slow, fast).factors) == [4 / 2]
    assert speed(slow, runs([0, 99])).censored == 1


def test_the_portfolio_is_what_is_good_on_the_other_data_sets(made: list[Table]) -> None:
    mlp, compact = made
    worse = replace(mlp, dataset="worse", curves=mlp.curves[::-1] * 0.5)  # here, another configuration is the best
    again = replace(mlp, dataset="again", curves=mlp.curves * 0.5)
    for config in best([mlp, again]):
        assert abs(np.log10(config["lr"] / 5e-3)) < 0.25, config
    assert best([mlp, again]) != best([mlp, worse])
    tables = [mlp, again, compact, replace(compact, dataset="again")]
    own, others = (left_out(tables, mlp, 20, own=own) for own in (True, False))
    assert own[0] == best([again])[0] and others[0]["lr"] == best([tables[3]])[0]["lr"] != own[0]["lr"]
    assert left_out([mlp, compact], mlp, 20, own=True) == []


def test_the_portfolio_is_written_for_each_architecture(packed: Path, tmp_path: Path) -> None:
    portfolio.main(["--tables", str(packed), "--out", str(tmp_path / "portfolio.json")])
    written = json.loads((tmp_path / "portfolio.json").read_text())
    assert list(written) == ["mlp_small", "compact_7k"] and all(len(configs) == 5 for configs in written.values())


def test_the_command(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--trials", "12", "--seeds", "2", "--tables", str(packed)]
    compare.main(["--strategies", "podium,random,tpe", *options])
    said = capsys.readouterr().out
    assert "| table | the recipe alone | podium | random | tpe |" in said
    assert "| compact_7k, digits |" in said and "| **mean** |" in said
    assert "| podium | 1.00 |" in said
    compare.main(["--strategies", "podium,podium-portfolio:6,podium-portfolio-of-others:6", *options])
    said = capsys.readouterr().out
    assert "| podium-portfolio:6 |" in said and "| podium-portfolio-of-others:6 |" in said
    with pytest.raises(SystemExit, match="there are fewer configurations of mlp_small, digits"):
        compare.main(["--strategies", "random", "--trials", "61", *options[2:]])
    with pytest.raises(SystemExit):
        compare.main(["--strategies", "nonesuch"])
    assert "unknown strategy; choose from podium" in capsys.readouterr().err


@pytest.mark.skipif(not (FOLDER / FILE).exists(), reason="the tables were not made yet")
def test_the_tables_of_the_repository() -> None:
    tables = load()
    assert [(table.architecture, table.dataset) for table in tables] == [
        (a, d) for a in ARCHITECTURES for d in DATASETS
    ]
    assert all(table.configs[0] == table.space.default for table in tables)
    assert all(table.curves.min() >= 0 and table.curves.max() <= 1 for table in tables)
    assert (FOLDER / FILE).stat().st_size < 3_000_000
