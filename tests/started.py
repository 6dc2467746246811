"""Builds started as a user starts them: in a process of their own, on a corpus small enough to do it often."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import by_speaker, write_digits

FAULTS = Path(__file__).parent / "faults"


@dataclass
class Builder:
    """A manifest, its corpus, and how processes of a build are started."""

    manifest: Path
    source: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, out: Path, workers: int = 2, *more: str) -> list[str]:
        """Command line of a build."""
        command = [sys.executable, "-m", "at_data", "build", str(self.manifest), "--source", str(self.source)]
        return [*command, "--out", str(out), "--workers", str(workers), *more]

    def variables(self, order: dict[str, Any] | None) -> dict[str, str]:
        """Environment of a build, with faults on order or without."""
        known = {**os.environ, **self.environment}
        if order is None:
            return known
        return known | {"PYTHONPATH": str(FAULTS), "AT_FAULTS": json.dumps(order)}

    def run(
        self, out: Path, workers: int = 2, *more: str, order: dict[str, Any] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[str]:
        """How a build ended."""
        return subprocess.run(
            self.command(out, workers, *more),
            env=self.variables(order),
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            **how,
        )

    def start(self, out: Path, workers: int, said: Path, order: dict[str, Any] | None = None) -> Any:
        """A build under way, in a session of its own, that says what it has to say into a file."""
        with said.open("wb") as file:
            return subprocess.Popen(
                self.command(out, workers),
                env=self.variables(order),
                stderr=file,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )


def small(folder: Path, *, speakers: int = 4, per_shard: int = 8, **changes: Any) -> Builder:
    """Builder of a dataset of ten words by some speakers, in small shards."""
    source = write_digits(folder / "speech_commands", speakers=speakers, takes=1)
    settings = by_speaker()
    settings["store"] |= {"recordings_per_shard": per_shard}
    (folder / "m.yaml").write_text(json.dumps(settings | changes))
    return Builder(folder / "m.yaml", source)


def finished(out: Path) -> list[Path]:
    """Folders that bear the name of a finished dataset."""
    return [path for path in out.glob("*") if path.is_dir() and not path.name.endswith(".partial")]
