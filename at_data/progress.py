"""Progress on stderr: a bar on a terminal, a line now and then in a log."""

import sys
import time
from typing import Any

import click
from tqdm import tqdm

LOG_EVERY_S = 10.0  # a line in a log this often


class Bar:
    """Progress on stderr: a bar on a terminal, a line now and then in a log."""

    def __init__(self, name: str = "", unit: str = "item") -> None:
        self.name = name
        self.unit = unit
        self.phase = ""
        self.bar: tqdm[Any] | None = None
        self.logged = self.began = time.monotonic()
        self.first = 0

    def __enter__(self) -> "Bar":  # noqa: PYI034 - Self is not known to the test hook
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, text: str) -> None:
        """A line of its own, above the bar where there is one."""
        if self.bar is None:
            click.echo(text, err=True)
        else:
            tqdm.write(text, file=sys.stderr)

    def __call__(self, phase: str, done: int, total: int, bad: int) -> None:
        """Show where a phase is; a new phase begins a new bar."""
        if phase != self.phase:
            self._begin(phase, done, total)
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            if bad:
                self.bar.set_postfix(bad=bad)
        elif time.monotonic() - self.logged > LOG_EVERY_S:
            self.logged = time.monotonic()
            rate = (done - self.first) / max(1e-9, self.logged - self.began)
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            click.echo(f"{self.name} {phase}: {done} of {total}, {rate:.0f}/s, {bad} bad{left}", err=True)

    def _begin(self, phase: str, done: int, total: int) -> None:
        if self.bar is not None:
            self.bar.close()
        self.phase, self.first = phase, done
        self.began = self.logged = time.monotonic()
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=total,
                initial=done,
                desc=f"{self.name} {phase}".strip(),
                unit=self.unit,
                unit_scale=self.unit == "B",
                leave=False,
            )
        else:
            click.echo(f"{self.name} {phase}: {done} of {total}".strip(), err=True)
