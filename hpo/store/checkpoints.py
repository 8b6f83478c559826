"""Where trials keep their checkpoints: in a folder, in a bucket, or with the driver, whichever node they run on.

A place holds named files and knows nothing of trials; `Checkpoints` keeps a trial's two newest in one, so that a
damaged file costs the epochs since the one before and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from hpo.system.errors import UserError
from hpo.system.files import write_atomically
from trainers import checkpoint

CHECKPOINTS_KEPT = 2


class CheckpointStorage(Protocol):
    """save writes a whole file or none (OSError). load raises FileNotFoundError, OSError or, for a damaged file,
    ValueError. names lists the files that begin with a prefix."""

    def save(self, name: str, state: dict[str, Any]) -> None: ...

    def load(self, name: str) -> dict[str, Any]: ...

    def names(self, prefix: str) -> list[str]: ...

    def remove(self, name: str) -> None: ...

    def clear(self) -> None: ...


class FolderStorage:
    """A folder of this machine, or one that is shared by all nodes."""

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
        with suppress(OSError):  # what is not ours stays, and so does the folder then
            self.path.rmdir()


class BucketStorage:
    """A folder of a remote file system that pyarrow knows (s3://, gs://, hdfs://); its files appear whole."""

    def __init__(self, uri: str) -> None:
        """Raises OSError or ValueError (pyarrow's) where the URI or the credentials do not do."""
        from pyarrow.fs import FileSystem

        from hpo.system.urls import masked

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
    """A folder on the driver's node, for workers on all nodes: bytes travel through Ray, and no file system has to
    be shared. Made where Ray is connected; ends with the driver."""

    def __init__(self, folder: FolderStorage) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1, "max_task_retries": 2}
        self.keeper = ray.remote(_Keeper).options(**options).remote(str(folder.path.resolve()))
        self.words = f"{folder} of the driver"

    def __str__(self) -> str:
        return self.words

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

    def _ask(self, what: str, *arguments: Any) -> Any:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(getattr(self.keeper, what).remote(*arguments))
        except RayTaskError as error:  # is an instance of its cause, which a caller knows
            raise error.cause from error
        except RayError as error:
            raise OSError(f"the driver's node does not answer ({type(error).__name__})") from error


class _Keeper:
    """The actor on the driver's node."""

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


class Checkpoints:
    """The checkpoints of trials in a `CheckpointStorage`: TRIAL@EPOCH.pt.

    check: raises KeyError, TypeError or ValueError for a state that its reader can do nothing with, which is then
    passed over like a damaged one.
    """

    def __init__(self, place: CheckpointStorage, check: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
        self.place, self.check = place, check

    def save(self, trial_id: str, epoch: int, state: dict[str, Any]) -> None:
        """Writes the state after an epoch; of the trial's earlier ones the newest stays. Raises OSError."""
        self.place.save(_name(trial_id, epoch), state)
        for name in self._names(trial_id)[CHECKPOINTS_KEPT:]:
            self.place.remove(name)

    def load(self, trial_id: str, last: int | None = None) -> tuple[dict[str, Any] | None, str]:
        """The trial's newest whole state, up to epoch `last`, None where there is none; and what is damaged, if any."""
        damaged: list[str] = []
        for name in self._names(trial_id):
            if last is not None and name > _name(trial_id, last):
                continue
            try:
                return self._checked(name), "; ".join(damaged)
            except (OSError, ValueError) as error:
                damaged.append(f"{error}: passed over")
        return None, "; ".join(damaged)

    def load_alike(self, trial_ids: Sequence[str]) -> tuple[list[dict[str, Any] | None], list[str]]:
        """As `load`, of trials that go on together: the newest states that they have of one epoch, or none at all."""
        found = [self.load(trial_id) for trial_id in trial_ids]
        warnings = [damaged for _, damaged in found]
        states = [state for state, _ in found]
        while all(states) and len(epochs := {len(state["curve"]) for state in states if state}) > 1:
            states = [self.load(trial_id, min(epochs))[0] for trial_id in trial_ids]
        if all(states) or not any(state for state, _ in found):
            return states, warnings
        words = "its checkpoint is of another epoch than those of the trials beside it: it begins anew"
        return begin_anew(words, warnings)

    def newest(self) -> dict[str, int]:
        """The last epoch that each trial has a checkpoint of."""
        with suppress(OSError):
            names = sorted(name for name in self.place.names("") if name.endswith(".pt"))
            split = (name.removesuffix(".pt").rpartition("@") for name in names)
            return {trial_id: int(epoch) for trial_id, _, epoch in split if epoch.isdigit()}
        return {}

    def remove(self, trial_id: str) -> None:
        for name in self.place.names(f"{trial_id}@"):
            self.place.remove(name)

    def mark_late(self, trial_id: str, asked_at: float) -> None:
        """Tells the trial's next worker that it ran out of time. Raises OSError."""
        self.place.save(f"{trial_id}@late", {"asked_at": asked_at})

    def is_late(self, trial_id: str, asked_at: float) -> bool:
        """Whether the trial that was asked for at `asked_at` ran out of time on a worker."""
        with suppress(OSError, ValueError):
            return bool(self.place.load(f"{trial_id}@late").get("asked_at") == asked_at)
        return False

    def _checked(self, name: str) -> dict[str, Any]:
        state = self.place.load(name)
        try:
            self.check(state)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: not a trial's checkpoint ({type(error).__name__}: {error})") from error
        return state

    def _names(self, trial_id: str) -> list[str]:
        """Newest first."""
        with suppress(OSError):
            return sorted((n for n in self.place.names(f"{trial_id}@") if n.endswith(".pt")), reverse=True)
        return []


def begin_anew(why: str, warnings: Sequence[str]) -> tuple[list[dict[str, Any] | None], list[str]]:
    """What `Checkpoints.load_alike` returns of trials whose states are of no use, and what is said of them."""
    return [None] * len(warnings), ["; ".join(filter(None, (warning, why))) for warning in warnings]


def _name(trial_id: str, epoch: int) -> str:
    return f"{trial_id}@{epoch:06d}.pt"


def place_at(location: str, run: str) -> FolderStorage | BucketStorage:
    """The place for a run's checkpoints in a --storage-path; ValueError where it cannot be. `run` is one that no
    other run, and nothing else, is called."""
    from hpo.system.urls import masked

    if "://" not in location:
        return FolderStorage(Path(location).absolute() / run, shared=True)
    plain, mark, query = location.partition("?")
    try:
        return BucketStorage(f"{plain.rstrip('/')}/{run}{mark}{query}")
    except (OSError, ValueError, ImportError) as error:
        words = " ".join(str(error).split()).replace(plain, masked(plain))
        if masked(location) != location:
            words = type(error).__name__  # pyarrow's own would repeat the key
        raise UserError(f"--storage-path {masked(plain)}: {words}") from error
