"""Sound files opened for what they hold, or refused: pipes, impossible headers, containers that are not read here."""

import errno
import os
import stat
from functools import cached_property
from pathlib import Path
from unicodedata import normalize

import soundfile

from at_data import containers, streams
from at_data.errors import AudioError

# A header can lie about the rate. Outside these no corpus lives; inside them a lie cannot be told from the truth.
LOWEST_RATE_HZ = 1_000
HIGHEST_RATE_HZ = 768_000
MOST_CHANNELS = 256  # Opus has 255 at most, FLAC 8

# Not inherited by workers, and never waiting on a pipe that lies among the files.
OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Stream(soundfile.SoundFile):
    """Sound file that is read on from where it stands.

    `soundfile` seeks to where it stands after every read of a file it can seek in. An MP3 decoder starts anew then, and
    the next block differs in its last bits from what one long read gives.
    """

    file = -1  # handle of the open file
    read_from = False  # whether it stands somewhere else than at its first sample
    guessed = 0  # how many of its frames may not be there, as their number is a guess

    def seekable(self) -> bool:
        """Say no."""
        return False

    @property
    def can_be_sought(self) -> bool:
        """Whether the library can go to another place in it."""
        return bool(super().seekable())

    @cached_property
    def bounded(self) -> bool:
        """Whether its samples are whole numbers, of which none lies beyond full scale: FLAC and plain integers."""
        return bool(self.subtype.startswith("PCM_"))

    @property
    def forgets(self) -> bool:
        """Whether a sample is the same whatever was decoded before it: FLAC and plain numbers, no other codec."""
        return self.bounded or self.subtype in {"FLOAT", "DOUBLE"}


class Opened:
    """The file that was decoded last: kept open, as the next stretch may lie in it too. Closed when left.

    It is opened anew for every stretch where samples depend on what was decoded before them.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._sound: Stream | None = None
        self._file: int | None = None
        self._whole: Path | None = None
        """The Ogg whose pages were looked at last: all of it is read for that, if a thousand stretches lie in it."""

    def __enter__(self) -> "Opened":  # noqa: PYI034 - Self is not known to the test hook
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        sound, file = self._sound, self._file
        self._path = self._sound = self._file = None
        try:
            if sound is not None:
                sound.close()
        finally:
            if file is not None:
                os.close(file)

    def sound(self, path: Path, where: str) -> Stream:
        """The file, open and of a kind that is read here; AudioError or the library's own error where it is not."""
        if self._sound is None or path != self._path or not self._sound.forgets:
            self.close()
            self._file = _open(path, where)
            _refuse_what_is_no_file(self._file, where)
            # libsndfile is handed the open file: names in another encoding, and suffixes that mislead, never reach it.
            self._sound = Stream(self._file, closefd=False)
            refuse_impossible(self._sound.samplerate, self._sound.channels, where)
            kind = self._sound.format
            containers.check(self._file, kind, where)
            self._sound.guessed = streams.guessed(self._file, kind, self._sound.frames, where)
            self._sound.file = self._file
            if kind == "OGG" and path != self._whole:
                streams.check_pages(self._file, where)
                self._whole = path
            self._path = path
        return self._sound


def refuse_impossible(rate_hz: int, channels: int, where: str) -> None:
    """Nothing, or AudioError where a header says what no sound has."""
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        expected = f"{LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz"
        raise AudioError(where, f"a sample rate of {rate_hz} Hz", expected, "mend the header or leave the file out")
    if channels > MOST_CHANNELS:
        came = f"a header of {channels} channels"
        raise AudioError(where, came, f"at most {MOST_CHANNELS}", "mend the header or mix the file down")


def printable(path: Path) -> str:
    """Path as text that any file and terminal can take, even where a name is not in the system's encoding."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def reason(error: Exception) -> str:
    """The library's own words, without the file number it was handed."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).rstrip(".")
    return str(getattr(error, "strerror", None) or error)


def _open(path: Path, where: str) -> int:
    try:
        return os.open(path, OPEN_FLAGS)
    except (OSError, ValueError) as error:
        missing = isinstance(error, OSError) and error.errno == errno.ENOENT
        came = f"no such file{_though(path)}" if missing else f"cannot be opened ({reason(error)})"
        raise AudioError(where, came, "a readable audio file", "restore it from the corpus") from error


def _though(path: Path) -> str:
    """What is there instead, called alike: in Unicode's other spelling, or with the suffix in the other case."""
    text = str(path)
    others = (normalize("NFC", text), normalize("NFD", text), str(path.with_suffix(path.suffix.swapcase())))
    # of Path.exists a name that grew too long would be an error
    there = next((other for other in others if other != text and os.path.exists(other)), None)  # noqa: PTH110
    if there is None:
        return ""
    parts = Path(there).parts
    unlike = next(place for place, part in enumerate(parts) if part != path.parts[place])  # a folder, or the file
    return f", though {'/'.join(parts[unlike:])!a} is there"


def _refuse_what_is_no_file(file: int, where: str) -> None:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(where, "a folder, pipe or device", "an audio file", "correct the corpus folder")
    if not status.st_size:
        raise AudioError(where, "an empty file (0 bytes)", "an audio file", "restore it from the corpus")
