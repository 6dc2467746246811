"""The error tree.

AtError
 ├── ManifestError     a manifest: unknown, missing or impossible settings, a split that cannot be made
 ├── CorpusError       a corpus folder: absent, empty, another corpus, too much of it bad
 ├── AudioError        one recording: cannot be decoded or used; goes to quarantine, never ends a build
 ├── ShardError        a dataset on disk: damaged, incomplete, in the way
 ├── ScratchError      what is laid down on disk meanwhile: no room for it
 ├── CheckpointError   a checkpoint: does not fit the network or the dataset
 └── ConfigError       training settings: unknown, missing or impossible
"""

LONGEST = 6_000  # characters of one part of an error


class AtError(Exception):
    """One problem a user can act on, told in four parts.

    Parameters
    ----------
    where : str
        File, key or item concerned.
    came : str
        What was found.
    expected : str
        What would have been right.
    todo : str
        What the user can do about it.

    """

    def __init__(self, where: object, came: str, expected: str, todo: str) -> None:
        self.where = _shown(str(where))
        self.came = _shown(came)
        self.expected = _shown(expected)
        self.todo = _shown(todo)
        super().__init__(self.where, self.came, self.expected, self.todo)

    def within(self, place: str) -> "AtError":
        """The same problem of a key that stands within another."""
        return type(self)(f"{place}.{self.where}", self.came, self.expected, self.todo)

    def __str__(self) -> str:
        return f"{self.where}: {self.came}; expected {self.expected}; {self.todo}"


def _shown(text: str) -> str:
    """Text that any terminal and file can take: what a stranger's file holds is quoted in errors."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... ({len(text):,} characters)"
    return printable(text, "\n\t")


def printable(text: str, besides: str = "") -> str:
    """Text with the signs that no terminal should get spelt out, but for those of `besides`."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in besides else ascii(sign)[1:-1] for sign in text)


class ManifestError(AtError):
    """A manifest cannot be read or cannot be built."""


class CorpusError(AtError):
    """A corpus folder is not what it should be."""


class AudioError(AtError):
    """One recording cannot be used."""


class ShardError(AtError):
    """A dataset on disk is damaged, incomplete or in the way."""


class ScratchError(AtError):
    """What a step lays down on disk meanwhile cannot be written: no fault of a corpus or a dataset."""


class CheckpointError(AtError):
    """A checkpoint does not fit the network or the dataset."""


class ConfigError(AtError):
    """Training settings are unknown, missing or impossible."""
