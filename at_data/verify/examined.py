"""What an examination found, and what it looked at."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from at_data.errors import printable

LONGEST = 400  # characters of a line
MOST = 200  # lines


@dataclass(slots=True)
class Found:
    """Lines for what is wrong, and how much was looked at, by what it is."""

    problems: list[str] = field(default_factory=list)
    checked: dict[str, float | int] = field(default_factory=dict)

    def tell(self, lines: Iterable[str], where: str = "") -> None:
        """Take lines in, each with where it is, such that any terminal can show them."""
        for line in lines:
            if len(self.problems) < MOST:
                self.problems.append(_shown(f"{where}: {line}" if where else line))
            elif len(self.problems) == MOST:
                self.problems.append("and more that is not told")


def _shown(line: str) -> str:
    """One line of printable signs: names and values in it may be strangers'."""
    text = printable(line[: 2 * LONGEST])
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
