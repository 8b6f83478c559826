"""The `hpo` console command: gathers the subcommands and knows how none of them works."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from cluster.errors import BAD_INPUT

COMMANDS = {
    "run": ("hpo.run", "search hyperparameters and rank architectures"),
    "submit": ("hpo.cli.commands.cluster.submit", "the same on a Ray cluster, from any machine"),
    "list": ("hpo.cli.commands.runs.list", "the runs and trainings in results/"),
    "show": ("hpo.cli.commands.runs.show", "what came of a run, as at its end"),
    "logs": ("hpo.cli.commands.runs.logs", "the log of a run"),
    "jobs": ("hpo.cli.commands.cluster.jobs", "the jobs on a Ray cluster that hpo submit has started"),
    "train": ("hpo.cli.commands.networks.train", "train one configuration, a system's recipe or an earlier winner"),
    "evaluate": ("hpo.cli.commands.networks.evaluate", "what trained weights get right, class by class"),
    "predict": ("hpo.cli.commands.networks.predict", "the class of pictures of any size"),
    "export": ("hpo.cli.commands.networks.export", "trained weights as ONNX, a torch.export program or safetensors"),
    "report": ("hpo.cli.commands.runs.report", "a run, or a training, on one page with figures"),
    "watch": ("hpo.cli.commands.runs.watch", "the page of a run while it works"),
    "dashboard": ("hpo.cli.commands.runs.dashboard", "a run's study in optuna-dashboard"),
    "compare": ("hpo.cli.commands.runs.compare", "the trials of several runs in one ranking, or on one page"),
    "baselines": (
        "hpo.cli.commands.networks.baselines",
        "the reproduced systems: published and measured results",
    ),
    "cache": ("hpo.cli.commands.networks.cache", "the decoded images that are kept on disk"),
    "models": ("hpo.cli.commands.networks.models", "the architectures as a table, or one of them layer by layer"),
}


def console() -> NoReturn:
    """The installed command. Signals are answered from its first line on where a run is what they interrupt."""
    from hpo.system.interrupt import answer_signals, ignore_signals
    from hpo.system.leaving import leave
    from hpo.system.streams import prepare_streams, restart_in_utf8_mode

    restart_in_utf8_mode()
    prepare_streams()
    if sys.argv[1:2] == ["run"]:
        answer_signals()
    code = main()
    ignore_signals()
    leave(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatches `hpo COMMAND ...`; returns the command's exit code, 2 for an unknown one."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"] and words[1:]:
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help", "help"):
        print("usage: hpo COMMAND ...\n")
        for name, (_, what) in COMMANDS.items():
            print(f"  {name:<10} {what}")
        print("\nhpo COMMAND --help, or hpo help COMMAND, tells more; hpo --version prints the version;")
        print("hpo --install-completion lets your shell complete commands and flags")
        return 0
    if words[0] in ("--version", "-V", "version"):
        print(f"hpo {version('podium-hpo')}")
        return 0
    if words[0] == "--install-completion":
        from hpo.cli.completion import main as install_completion

        return install_completion(COMMANDS, words[1:])
    if words[0] not in COMMANDS:
        from hpo.spec.checks import unknown

        print(f"hpo: {unknown(f'command {words[0]}', words[0], COMMANDS)}", file=sys.stderr)
        return BAD_INPUT
    module, _ = COMMANDS[words[0]]
    code: int = importlib.import_module(module).main(words[1:])
    return code


if __name__ == "__main__":
    console()
