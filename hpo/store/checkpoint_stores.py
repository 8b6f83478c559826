"""Where checkpoints are stored: in a folder, in a bucket, or on the driver's node."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from hpo.system.errors import UserError
from hpo.system.files import write_atomically
from hpo.system.text import single_line
from hpo.system.urls import masked
from trainers import checkpoint


def checkpoint_storage(location: str, run: str) -> FolderStorage | BucketStorage:
    """The storage for a run's checkpoints in a --storage-path.

    `run` must be a name that no other run uses. Raises UserError when the storage cannot be opened.
    """
    if "://" not in location:
        return FolderStorage(Path(location).absolute() / run, shared=True)
    plain, mark, query = location.partition("?")
    try:
        return BucketStorage(f"{plain.rstrip('/')}/{run}{mark}{query}")
    except (OSError, ValueError, ImportError) as error:
        reason = single_line(str(error)).replace(plain, masked(plain))
        if masked(location) != location:
            reason = type(error).__name__  # pyarrow's own text would repeat the key
        raise UserError(f"--storage-path {masked(plain)}: {reason}") from error


class CheckpointStorage(Protocol):
    """Named files, whole or absent. It knows nothing of trials."""

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Writes the whole file or nothing. Raises OSError."""
        ...

    def load(self, name: str) -> dict[str, Any]:
        """Reads a file. Raises FileNotFoundError, OSError or, for a damaged file, ValueError."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Lists the files whose names begin with a prefix. Raises OSError."""
        ...

    def remove(self, name: str) -> None:
        """Removes a file, if it exists. Raises OSError."""
        ...

    def clear(self) -> None:
        """Removes all checkpoints, and the folder when it is then empty. Raises OSError."""
        ...


class FolderStorage:
    """A folder on this machine, or one that all nodes share."""

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path, self.shared = path, shared

    def __str__(self) -> str:
        return str(self.path)

    def save(self, name: str, state: dict[str, Any]) -> None:
        checkpoint.save(self.path / name, state)

    def load(self, name: str) -> dict[str, Any]:
        return checkpoint.load(self.path / name)

    def names(self, prefix: str) -> list[str]:
        return [path.name for path in self.path.glob("[!.]*") if path.name.startswith(prefix)]

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def clear(self) -> None:
        for path in self.path.glob("*@*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder stays when it holds other files
            self.path.rmdir()


class BucketStorage:
    """A folder on a remote file system that pyarrow knows (s3://, gs://, hdfs://). Its files appear whole."""

    def __init__(self, uri: str) -> None:
        """Raises pyarrow's OSError or ValueError when the URI or the credentials are wrong."""
        from pyarrow.fs import FileSystem

        self.name = masked(uri).partition("?")[0]
        self.files, path = FileSystem.from_uri(uri)
        self.path = path.rstrip("/")

    def __str__(self) -> str:
        return self.name

    def save(self, name: str, state: dict[str, Any]) -> None:
        self.files.create_dir(self.path)
        with self.files.open_output_stream(f"{self.path}/{name}") as file:
            file.write(checkpoint.dumps(state))

    def load(self, name: str) -> dict[str, Any]:
        with self.files.open_input_stream(f"{self.path}/{name}") as file:
            return checkpoint.loads(file.read(), name)

    def names(self, prefix: str) -> list[str]:
        from pyarrow.fs import FileSelector

        entries = self.files.get_file_info(FileSelector(self.path, allow_not_found=True))
        return [entry.base_name for entry in entries if entry.base_name.startswith(prefix)]

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self.files.delete_file(f"{self.path}/{name}")

    def clear(self) -> None:
        for name in self.names(""):
            if "@" in name:
                self.remove(name)


class DriverStorage:
    """A folder on the driver's node, for workers on all nodes.

    The bytes travel through Ray, so the nodes need not share a file system. Make it after Ray is connected; it ends
    with the driver.
    """

    def __init__(self, folder: FolderStorage) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1, "max_task_retries": 2}
        self.actor = ray.remote(_FolderActor).options(**options).remote(str(folder.path.resolve()))
        self.name = f"{folder} of the driver"

    def __str__(self) -> str:
        return self.name

    def save(self, name: str, state: dict[str, Any]) -> None:
        self._ask("save", name, checkpoint.dumps(state))

    def load(self, name: str) -> dict[str, Any]:
        return checkpoint.loads(self._ask("load", name), name)

    def names(self, prefix: str) -> list[str]:
        names: list[str] = self._ask("names", prefix)
        return names

    def remove(self, name: str) -> None:
        self._ask("remove", name)

    def clear(self) -> None:
        self._ask("clear")

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(getattr(self.actor, method).remote(*arguments))
        except RayTaskError as error:  # callers expect the error that the actor raised, an OSError
            raise error.cause from error
        except RayError as error:
            raise OSError(f"the driver's node does not answer ({type(error).__name__})") from error


class _FolderActor:
    """Runs on the driver's node, and reads and writes the folder there."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def save(self, name: str, content: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, content)

    def load(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def names(self, prefix: str) -> list[str]:
        return FolderStorage(self.path).names(prefix)

    def remove(self, name: str) -> None:
        FolderStorage(self.path).remove(name)

    def clear(self) -> None:
        FolderStorage(self.path).clear()
