"""Who wants to know how training goes."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Who wants to know how training goes."""

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        """Epoch begins, of at most so many, with so many training steps."""

    def step(self) -> None:
        """One training step is under way."""

    def end(self, values: dict[str, dict[str, float]], *, best: bool) -> None:
        """Epoch ended with these results by split; `best` if the validation task loss is the lowest so far.

        `at_loss` is absent where the loss that is added is of no item.
        """

    def say(self, text: str) -> None:
        """Tell the user something that matters."""


class Silent:
    """Progress that tells nobody."""

    def begin(self, epoch: int, epochs: int, steps: int) -> None:
        """Nothing."""

    def step(self) -> None:
        """Nothing."""

    def end(self, values: dict[str, dict[str, float]], *, best: bool) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""
