"""What all subcommands of `hpo` share: flags from a function's signature, mistakes in one line, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError

from hpo.system.errors import BAD_INPUT, USER_ERRORS, machine_fails, reader_gone, user_message
from hpo.system.interrupt import INTERRUPTED
from hpo.system.streams import prepare_streams


def run_command(name: str, function: Callable[..., int | None], argv: Sequence[str]) -> int:
    """Calls `function` with the flags in `argv`; returns the exit code: that of the function, or 0 for None.

    A mistake of the user's is one line on stderr, and exit code 2. An OSError, such as a full disk, is one line, and
    exit code 1.
    """
    prepare_streams()
    app = App(name=f"hpo {name}", version_flags=(), result_action="return_value")
    app.default(function)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # the folder of a user's own architecture
    try:
        return app(list(argv), exit_on_error=False, print_error=False) or 0
    except (CycloptsError, *USER_ERRORS) as error:
        print(f"hpo: {user_message(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return reader_gone()
    except OSError as error:
        return machine_fails(error)
