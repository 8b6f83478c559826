"""What is read from the fields of the settings."""

from __future__ import annotations

from types import NoneType

from cyclopts import App

from hpo.cli.flags import _identity
from hpo.spec.groups import all_settings, changeable_settings, setting_names, settings_of_one_call


def test_what_a_resumed_run_may_change() -> None:
    """A setting that joins one of these is a promise, and is written here on purpose."""
    assert settings_of_one_call() == {
        "name",
        "results_dir",
        "resume",
        "live",
        "quiet",
        "dry_run",
        "address",
        "profile",
    }
    assert changeable_settings() - settings_of_one_call() == {
        "trials",
        "time_budget",
        "trial_timeout",
        "storage",
        "dataset",
        "data_dir",
        "device",
        "concurrency",
        "cpus_per_trial",
        "gpus_per_trial",
        "fuse",
        "storage_path",
        "finalists",
        "final_seeds",
        "tensorboard",
        "mlflow",
    }


def test_names_are_those_of_the_flags() -> None:
    app = App()
    app.default(_identity)
    flags = {argument.name.removeprefix("--").replace("-", "_") for argument in app.assemble_argument_collection()}
    by_file_alone, no_setting = {"space"}, {"config"}
    assert set(setting_names()) - by_file_alone <= flags
    assert {"set", "range"} <= set(setting_names()) and not {"fixed", "ranges"} & set(setting_names())
    assert len(setting_names()) == len(set(setting_names())) and not no_setting & set(setting_names())


def test_types_are_those_of_the_values() -> None:
    types = {setting.key: setting.types for setting in all_settings()}
    assert types["set"] == types["model"] == (tuple,) and types["space"] == (dict,)
    assert types["dataset"] == (str,) and types["storage"] == (str, NoneType) and types["trials"] == (int,)
