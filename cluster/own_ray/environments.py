"""Answers for the runtime environments of tasks, in the place of Ray's agent, which takes a second to start.

A raylet that nobody answers ends after 30 seconds, and each driver of its with it: Tune alone asks for variables.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from cluster.ray_private import answer_about_environment


def serve_environments(address: str) -> int:
    """Answers at this IP address as long as the process lives; returns the port."""
    server = ThreadingHTTPServer((address, 0), _Answers)
    Thread(target=server.serve_forever, name="environments", daemon=True).start()
    return server.server_port


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        question = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = answer_about_environment(self.path, question)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing of what goes well."""
