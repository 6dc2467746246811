"""Which run a folder holds, and whether it is finished."""

import errno
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from at_data.errors import CheckpointError, ConfigError
from at_train import config

RUNNING, INTERRUPTED = "running", "interrupted"  # states of a run that has not ended, with and without a process
FINISHED = "finished"  # the state of a run that was scored on every split
DIVERGED = "diverged"  # the state of a run that a loss ended which was no finite number
MEND = "train in a new folder with a lower learning_rate, or a beta nearer to zero"
PARTIAL = ".partial"  # ends the name of a file whose writing was cut short
LOCK = ".lock"  # held by the process that trains in a folder
LOOKED_AT_S, LOOK_S = 1.0, 0.02  # for others who only look whether a process trains; between two tries
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}  # what file systems that have none answer

Kinds = Mapping[str, type | tuple[type, ...]]  # types of facts by name
FACTS: Kinds = {  # what whoever uses the network of a run needs of `run.json`
    "digest": str,
    "name": str,
    "settings": dict,
    "dataset": dict,
    "dataset_folder": str,
    "dataset_beside": str,
    "orthogonal": list,
    "epochs_run": int,
}
DATASET: Kinds = {"corpus": str, "content": str, "target": str, "classes": list}
ORTHOGONAL: Kinds = {"name": str, "digest": str}


def state(run: Path, said: str) -> str:
    """State of a run of which `run.json` says this one: `running` is written at the beginning, whatever came after."""
    return INTERRUPTED if said == RUNNING and not _at_work(run) else said


def _at_work(run: Path) -> bool:
    """Whether a process trains in a folder, or may do so, where a file system has no locks."""
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        with (run / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def read(run: Path) -> dict[str, Any]:
    """What `run.json` says; CheckpointError when the folder is no run."""
    path = run / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            run, "no run.json in it", "a run folder", "name a folder that `at-train fit` wrote"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            path, f"cannot be read ({error})", "the facts of a run", "train again in a new folder"
        ) from error
    if not isinstance(content, dict) or not {"digest", "state"} <= content.keys():
        raise CheckpointError(path, "no digest or no state in it", "the facts of a run", "train again in a new folder")
    return content


def read_finished(run: Path) -> dict[str, Any]:
    """What `run.json` says of a finished run, whose network somebody wants to use.

    CheckpointError when training has not ended or facts are missing, ConfigError for settings that there are not.
    """
    facts = read(run)
    if facts["state"] == DIVERGED:
        raise CheckpointError(run, "a run that has diverged", "a finished run", MEND)
    if facts["state"] != FINISHED:
        raise CheckpointError(
            run,
            f"a run that is {state(run, facts['state'])}",
            "a finished run",
            "let `at-train fit` with the same settings finish it",
        )
    path = run / "run.json"
    checked(facts, FACTS, str(path))
    for name in checked(facts["dataset"], DATASET, f"{path}, dataset")["classes"]:
        checked({"classes": name}, {"classes": str}, f"{path}, dataset")
    others = [checked(other, ORTHOGONAL, f"{path}, orthogonal")["name"] for other in facts["orthogonal"]]
    settings = config.parse({**facts["settings"], "orthogonal": others}, f"{path}, settings")
    return {**facts, "settings": settings.model_dump(mode="json", exclude={"orthogonal"})}


def checked(raw: Any, wanted: Kinds, where: str) -> dict[str, Any]:
    """The facts themselves, of which these are there and of these types; CheckpointError otherwise."""
    content = raw if isinstance(raw, dict) else {}
    wrong = [name for name, kind in wanted.items() if name not in content or not isinstance(content[name], kind)]
    if wrong:
        raise CheckpointError(
            where, f"{', '.join(wrong)} missing or of another type", "the facts of a run", "train again in a new folder"
        )
    return content


def refuse_within_dataset(out: Path) -> None:
    """Nothing, or ConfigError for a folder to write to that is a dataset or lies in one."""
    for folder in (out.resolve(), *out.resolve().parents):
        if (folder / "dataset.json").is_file():
            expected = "a folder elsewhere: a finished dataset is never changed"
            raise ConfigError(out, f"lies in the dataset {folder}", expected, "choose another --out")


def claim(run: Path, digest: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What `run.json` says where this very run was begun before, None where the folder is new or empty.

    Raises ConfigError, with the folder untouched, when it holds another run or anything else, or lies in a dataset.
    """
    refuse_within_dataset(run)
    if (run / "run.json").is_file():
        facts = read(run)
        if facts["digest"] != digest:
            raise ConfigError(
                run, f"holds another run ({_difference(facts, settings)})", "a new folder", "choose another --out"
            )
        return facts
    found = sorted(path.name for path in run.iterdir()) if run.is_dir() else []
    strange = [name for name in found if name != LOCK and not name.endswith(PARTIAL)]
    if strange or (run.exists() and not run.is_dir()):
        raise ConfigError(
            run, f"exists and is no run ({', '.join(strange[:3]) or 'a file'})", "a new folder", "choose another --out"
        )
    return None


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Sole use of a run folder, which is made if need be; the lock dies with the process that holds it.

    ConfigError when another process holds it. File systems without locks do without.
    """
    run.mkdir(parents=True, exist_ok=True)
    with (run / LOCK).open("w") as file:
        try:
            _take(file.fileno())
        except BlockingIOError as error:
            raise ConfigError(
                run, "another process is training here", "one at a time", "wait for it, or choose another --out"
            ) from error
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
        yield


def _take(file: int) -> None:
    """Lock a file, BlockingIOError where another process has it for longer than it takes to look (`_at_work`)."""
    import fcntl  # noqa: PLC0415 - not on Windows

    end = time.monotonic() + LOOKED_AT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(LOOK_S)
        else:
            return


def _difference(facts: dict[str, Any], settings: dict[str, Any]) -> str:
    theirs = facts.get("settings", {})
    different = [
        f"{name} {theirs.get(name)!r}, not {value!r}" for name, value in settings.items() if theirs.get(name) != value
    ]
    return "; ".join(different) or "of another dataset or other orthogonal runs"
