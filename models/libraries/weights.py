"""Files of pretrained weights: from torch's cache, by download, or a line that says which file to put where."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.errors import ModelError

DOWNLOAD_TIMEOUT_S = 10
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")  # a weights file's name ends with the start of its SHA-256


@dataclass(frozen=True)
class WeightsFile:
    """A file of pretrained weights, on this machine or not."""

    url: str
    """Where anyone can download it."""
    name: str
    """Its name in torch's cache."""
    elsewhere: Path | None = None
    """The same file in another library's cache, if it is there."""

    @property
    def path(self) -> Path:
        """Its place in torch's cache."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.name

    def fetch(self) -> Path:
        """Returns the file's path, after a download if need be. Raises ModelError if neither works."""
        try:
            if not self.path.exists() and self.elsewhere:
                return self.elsewhere
            if not self.path.exists():
                self._download()
            return self.path
        except Exception as error:  # of many kinds, of several libraries
            raise self._unusable(error) from error

    def read(self) -> dict[str, Any]:
        """Returns the weights, by name. Raises ModelError as `fetch`, or if the file is damaged."""
        path = self.fetch()
        try:
            # weights_only: a file from elsewhere cannot run code.
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # a damaged pickle raises any kind of error
            raise self._unusable(error) from error

    def misfit(self) -> ModelError:
        """Returns the error for a file that holds the weights of another network."""
        return ModelError(f"the pretrained weights in {self.path} are of another network; remove the file")

    def _download(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        hash_prefix = (*_HASH_IN_NAME.findall(self.name), None)[0]
        with _download_timeout():
            torch.hub.download_url_to_file(self.url, str(self.path), hash_prefix, progress=False)

    def _unusable(self, error: Exception) -> ModelError:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return ModelError(
            f"the pretrained weights are not available ({reason}); download {self.url} elsewhere and save it as "
            f"{self.path}"
        )


@contextmanager
def _download_timeout() -> Iterator[None]:
    """Sets the timeout for a server that does not answer: torch's downloader has none of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
