"""What all subcommands of `hpo` share: flags from a function's signature, mistakes in one line, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cyclopts import App, Parameter

from hpo.spec.help_groups import OPTIONS
from hpo.system.errors import EXPECTED_ERRORS, report_error
from hpo.system.import_path import add_current_folder
from hpo.system.streams import prepare_streams


def run_command(name: str, function: Callable[..., int | None], argv: Sequence[str]) -> int:
    """Calls `function` with the flags in `argv`; returns the exit code: that of the function, or 0 for None.

    A mistake of the user's is one line on stderr, and exit code 2. An OSError, such as a full disk, is one line, and
    exit code 1.
    """
    prepare_streams()
    app = App(
        name=f"hpo {name}", version_flags=(), result_action="return_value", default_parameter=Parameter(group=OPTIONS)
    )
    app.default(function)
    app["--help"].group = OPTIONS
    add_current_folder()
    try:
        return app(list(argv), exit_on_error=False, print_error=False) or 0
    except EXPECTED_ERRORS as error:
        return report_error(error)
