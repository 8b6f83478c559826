"""`hpo --install-completion`: the shell completes commands and flags."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.completion.detect import ShellDetectionError

from hpo.cli.command import run_command
from hpo.cli.commands.cluster.submit import SubmitSpec
from hpo.cli.flags import _identity
from hpo.system.errors import UserError

Commands = Mapping[str, tuple[str, str]]  # name to (module, help)
SHELLS = ("bash", "zsh", "fish")


def main(commands: Commands, argv: Sequence[str]) -> int:
    """Runs `hpo --install-completion ...`; returns its exit code."""

    def install(*, shell: Literal["bash", "zsh", "fish"] | None = None, output: Path | None = None) -> None:
        """Installs the completion of commands and flags for your shell.

        Parameters
        ----------
        shell
            bash, zsh or fish. [default: the shell that you use]
        output
            Writes the script to this file only. [default: to the shell's folder, and a line to its start-up file]
        """
        _install(commands, shell, output)

    return run_command("--install-completion", install, argv)


def _install(commands: Commands, shell: Literal["bash", "zsh", "fish"] | None, output: Path | None) -> None:
    try:
        # A file of the user's choice is the user's to load: the start-up file stays as it is.
        path = _all_commands(commands).install_completion(shell=shell, output=output, add_to_startup=output is None)
    except ShellDetectionError:
        raise UserError(f"--install-completion: the shell is not known; give --shell {', '.join(SHELLS)}") from None
    print(f"{path}: open a new shell to use it")


def _all_commands(commands: Commands) -> App:
    """All commands in one App. It only describes them: `hpo` imports the module of one command and runs that."""
    app = App(name="hpo", version_flags=("--version",))
    for name, (module, text) in commands.items():
        command = App(name=name, help=text, version_flags=())
        command.default(_function(name, module))
        app.command(command)
    return app


def _function(name: str, module: str) -> Callable[..., Any]:
    """The function whose parameters are the command's flags: in the module of `hpo NAME` it is called _NAME."""
    special: dict[str, Callable[..., Any]] = {"run": _identity, "submit": _submit}
    function: Callable[..., Any] = special.get(name) or getattr(importlib.import_module(module), f"_{name}")
    return function


def _submit(*, spec: Annotated[SubmitSpec, Parameter(name="*")] = SubmitSpec()) -> None:
    """The flags before the --."""
