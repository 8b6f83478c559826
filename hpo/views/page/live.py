"""A run's page while the run works: served on the loopback, and loaded anew by the browser when something is new."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hpo.store.stored_run import read_run
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from hpo.views.evaluation import Evaluation
from hpo.views.page.report import render

_ROOT = Path(__file__).resolve().parents[3]
_SEALED = "default-src 'none';"
_ASKS = """<script>
const shown = "VERSION";
const asking = setInterval(async () => {
  try {
    const now = await (await fetch("version")).text();
    if (now !== shown) {
      await (await fetch(location.href)).text();  // made by now, so that loading it is quick
      location.reload();
    }
  } catch {
    clearInterval(asking);
    document.title = "ended - " + document.title;
    const line = document.createElement("p");
    line.textContent = "The run has ended, or was interrupted. What it has found: hpo show RUN";
    document.body.prepend(line);
  }
}, 2000);
</script>
</body>"""


class LivePage(ThreadingHTTPServer):
    """Serves the page of one run at http://127.0.0.1:PORT/TOKEN/; whoever does not know the token gets nothing."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Takes a port of this machine, or any free one for 0. Raises OSError where it is in use."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.folder, self.token = folder, secrets.token_urlsafe(16)
        self._lock = threading.Lock()
        self._made: tuple[str, bytes] = ("", b"")

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a browser that has gone."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def version(self) -> str:
        """Another text whenever the page would be another one."""
        files = (self.folder / name for name in ("trials.jsonl", "finals.jsonl", "study.json"))
        return "-".join(str(file.stat().st_mtime_ns) if file.exists() else "0" for file in files)

    def page(self) -> bytes:
        """The page as it is now. It is made once for each version, however many ask for it."""
        with self._lock:
            version = self.version()
            if self._made[0] != version:
                self._made = (version, self._render(version).encode())
            return self._made[1]

    def _render(self, version: str) -> str:
        html = render(read_run(self.folder), _not_yet)
        asks = _ASKS.replace("VERSION", version).replace("RUN", self.folder.name)
        return html.replace(_SEALED, f"{_SEALED} connect-src 'self';", 1).replace("</body>", asks, 1)


class _Handler(BaseHTTPRequestHandler):
    server: LivePage

    def do_GET(self) -> None:
        token = self.server.token
        if self.path == f"/{token}/":
            self._answer(200, "text/html; charset=utf-8", self.server.page())
        elif self.path == f"/{token}/version":
            self._answer(200, "text/plain", self.server.version().encode())
        else:
            self._answer(404, "text/plain", b"not found; take the whole address that the run has printed\n")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the run has the terminal."""

    def _answer(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)


def _not_yet(winner: TrialRecord) -> Evaluation:
    raise UserError("the run works; the page at its end has it")


def serve_live_page(run: Path, hear: Callable[[str], None]) -> None:
    """Starts `hpo watch` for the folder of a run that is locked, and lets its address be heard when it has one.

    It is a process of its own, in a session of its own: Ctrl-C is for the run, and the page is there until the run has
    ended.
    """
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        # -P: a package of the user's in the current folder may be called as one of Podium's.
        [sys.executable, "-P", "-m", "hpo", "watch", str(run.resolve())],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def tell_address() -> None:
        assert process.stdout and process.stderr
        if line := process.stdout.readline().strip():
            hear(f"live:    {line}")
        # Read to its end: a full pipe would stop the process.
        said = [words.strip() for words in process.stderr if words.strip()]
        if not line:
            hear(f"live:    the page is not served ({said[-1] if said else 'no message'})")

    threading.Thread(target=tell_address, daemon=True).start()
