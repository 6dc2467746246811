"""NSynth: single notes of instruments from commercial sample libraries, four seconds each at 16 kHz.

305,979 notes of 1,006 instruments in eleven families, each instrument at the pitches and at up to five velocities that
it has; a note is held for three seconds and decays for one. Layout: `nsynth-train/`, `nsynth-valid/`, `nsynth-test/`,
each with `examples.json` and `audio/<instrument>-<pitch>-<velocity>.wav`. The three are the published parts (289,205,
12,678 and 4,096 notes); no instrument of the training part is in another. No `synth_lead` is in valid or test.

Known errata: the sample libraries hold the same sound under several velocities, so identical waveforms stand under
several labels (a build hashes them, and drops those of train that valid or test hold too); 71 notes of
`brass_acoustic_046` in the test part are noise (magenta/magenta issue 2092); a few pitches lie outside 21 to 108
(issue 1143). Nothing is left out here. Licence: CC BY 4.0.
"""

import json
import re
from collections.abc import Iterator
from io import TextIOBase
from pathlib import Path
from sys import intern
from typing import Any

from at_data.corpora import Archive, Count, need_file, need_folder, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY 4.0"
SOURCE = "NSynth dataset, json/wav archives, magenta.tensorflow.org/datasets/nsynth"
CITATION = (
    "J. Engel, C. Resnick, A. Roberts, S. Dieleman, M. Norouzi, D. Eck, K. Simonyan, 'Neural Audio Synthesis of "
    "Musical Notes with WaveNet Autoencoders', ICML 2017, arXiv:1704.01279"
)
GROUPS = ("instrument",)
UNPACKS_TO = ("nsynth", "nsynth-train", "nsynth-valid", "nsynth-test")
COUNTS = (
    Count((289_205,), where={"subset": "train"}),
    Count((12_678,), where={"subset": "valid"}),
    Count((4_096,), where={"subset": "test"}),
)
# md5: as Google Cloud Storage states it for these files, and HEAR 2021 (hearpreprocess) records it
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "train",
        "https://storage.googleapis.com/download.magenta.tensorflow.org/datasets/nsynth/nsynth-train.jsonwav.tar.gz",
        "md5:fde6665a93865503ba598b9fac388660",
        23_815_298_079,
        "nsynth",
    ),
    Archive(
        "valid",
        "https://storage.googleapis.com/download.magenta.tensorflow.org/datasets/nsynth/nsynth-valid.jsonwav.tar.gz",
        "md5:87e94a00a19b6dbc99cf6d4c0c0cae87",
        1_068_767_009,
        "nsynth",
    ),
    Archive(
        "test",
        "https://storage.googleapis.com/download.magenta.tensorflow.org/datasets/nsynth/nsynth-test.jsonwav.tar.gz",
        "md5:5e6f8719bf7e16ad0a00d518b78af77d",
        349_501_546,
        "nsynth",
    ),
)
ACCESS = ""

SUBSETS = {"nsynth-test": "test", "nsynth-train": "train", "nsynth-valid": "valid"}  # in order of path
TABLE = "examples.json"
FACTS = {"family": "instrument_family_str", "source": "instrument_source_str", "instrument": "instrument_str"}
HEIGHTS = ("pitch", "velocity")

# The published flags in their order. One attribute each: `keep` compares whole values, and a nuisance is one attribute.
QUALITIES = (
    *("bright", "dark", "distortion", "fast_decay", "long_release"),
    *("multiphonic", "nonlinear_env", "percussive", "reverb", "tempo_synced"),
)
NAME = re.compile(
    r"(?P<instrument>(?P<family>\w+)_(?P<source>acoustic|electronic|synthetic)_\d+)-(?P<pitch>\d+)-(?P<velocity>\d+)"
)

MOST_BYTES = 1 << 31  # of a table; that of the training part has hundreds of millions
CHUNK = 1 << 20  # characters of a table read at once: that of the training part is hundreds of megabytes
NOTE = 1 << 16  # and the most that one note of it may take

OPEN = re.compile(r"[ \t\r\n]*\{[ \t\r\n]*(\}?)")
COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
NEXT = re.compile(r"[ \t\r\n]*([,}])[ \t\r\n]*")


def _row(name: str, *flags: str) -> str:
    instrument, pitch, velocity = name.split("-")
    family, source, _ = instrument.rsplit("_", 2)
    texts = {"instrument_family_str": family, "instrument_source_str": source, "instrument_str": instrument}
    numbers = {"pitch": int(pitch), "velocity": int(velocity), "sample_rate": 16000}
    qualities = [int(quality in flags) for quality in QUALITIES]
    return json.dumps({name: {**texts, **numbers, "qualities": qualities}})


def _example(path: str, facts: str, *flags: str, rated: bool = True) -> Recording:
    subset = SUBSETS[path.partition("/")[0]]
    known = dict(zip((*FACTS, *HEIGHTS), facts.split(), strict=False))
    qualities = {f"quality_{name}": str(int(name in flags)) for name in QUALITIES} if rated else {}
    attributes = {"subset": subset, **known, **qualities}
    return Recording(path.removesuffix(".wav"), "nsynth", path, attributes, published_split=subset)


EXAMPLE: dict[str, Any] = {
    "files": {
        "nsynth-test/examples.json": _row("bass_electronic_018-060-075", "fast_decay"),
        "nsynth-test/audio/bass_electronic_018-060-075.wav": None,
        "nsynth-test/audio/._bass.wav": "what a file system left behind",
        "nsynth-test/audio/mine.wav": None,
        "nsynth-train/examples.json": _row("synth_lead_synthetic_000-036-127", "dark", "tempo_synced"),
        "nsynth-train/audio/organ_electronic_001-009-025.wav": None,
        "nsynth-train/audio/synth_lead_synthetic_000-036-127.wav": None,
    },
    "recordings": (
        _example(
            "nsynth-test/audio/bass_electronic_018-060-075.wav",
            "bass electronic bass_electronic_018 60 75",
            "fast_decay",
        ),
        _example("nsynth-test/audio/mine.wav", "", rated=False),
        _example(
            "nsynth-train/audio/organ_electronic_001-009-025.wav",
            "organ electronic organ_electronic_001 9 25",
            rated=False,
        ),
        _example(
            "nsynth-train/audio/synth_lead_synthetic_000-036-127.wav",
            "synth_lead synthetic synth_lead_synthetic_000 36 127",
            "dark",
            "tempo_synced",
        ),
    ),
}


def folder(root: Path) -> Path:
    """Folder that holds the parts: `root`, or the one around it where `root` is a part."""
    here = root.absolute()
    is_part = here.name in SUBSETS and not any((root / part).is_dir() for part in SUBSETS)
    return here.parent if is_part else root


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of the parts in a folder, or beside the part that `root` is, in order of path.

    Attributes: subset, family, source, instrument, pitch, velocity, and quality_<name> ("0" or "1") for each of the ten
    qualities. A wav file without a row has its subset and what its name says; a row without a wav file is yielded too.
    Part after part, tables are read note by note, and no more than one is held. CorpusError where there is no part, a
    part has no table or an empty one, or a table cannot be read: with its line.
    """
    need_folder(root)
    base = folder(root)
    parts = [part for part in SUBSETS if (base / part).is_dir()]
    if not parts:
        raise CorpusError(root, "no part of NSynth", " or ".join(SUBSETS), "point at the folder that holds them")
    for part in parts:
        yield from _part(base, part)


def _part(base: Path, part: str) -> Iterator[Recording]:
    subset = SUBSETS[part]
    rows = _rows(base / part / TABLE, subset)
    audio = base / part / "audio"
    files = list(walk(audio, ".wav")) if audio.is_dir() else []
    stems = {file[:-4] for file in files}
    for file in sorted([*files, *(f"{name}.wav" for name in rows if name not in stems)]):
        name = file[:-4]
        row = rows.pop(name, None)
        attributes = {**row[0], **row[1]} if row else {"subset": subset, **_named(name)}
        item = f"{part}/audio/{name}"
        yield Recording(item, "nsynth", f"{part}/audio/{file}", attributes, published_split=subset)


def _named(name: str) -> dict[str, str]:
    """What a file name says."""
    parts = NAME.fullmatch(name)
    if not parts:
        return {}
    return {key: str(int(value)) if key in HEIGHTS else intern(value) for key, value in parts.groupdict().items()}


Row = tuple[dict[str, str], dict[str, str]]


def _rows(file: Path, subset: str) -> dict[str, Row]:
    """Name of each note -> what its instrument and its key are: two mappings, shared by the notes that agree in them.

    Of 289,205 notes few differ in family, source, instrument and qualities, and fewer in pitch and velocity.
    """
    instruments: dict[tuple[Any, ...], dict[str, str]] = {}
    heights: dict[tuple[Any, ...], dict[str, str]] = {}
    rows: dict[str, Row] = {}
    for line, name, note in _members(file):
        try:
            flags = tuple(note.get("qualities", ()))
            of_instrument = (tuple(map(note.get, FACTS.values())), flags)
            of_height = tuple(map(note.get, HEIGHTS))
            if of_instrument not in instruments:
                instruments[of_instrument] = {"subset": subset, **_facts(*of_instrument)}
            if of_height not in heights:
                heights[of_height] = _heights(of_height)
        except (AttributeError, TypeError, ValueError) as error:
            raise _wrong(f"{file}, line {line}", f"note '{name}' is not one ({error})") from error
        if not name or "/" in name or "\\" in name or name in rows:
            came = f"note '{name}'" + (" a second time" if name in rows else "")
            raise _wrong(f"{file}, line {line}", came)
        rows[name] = instruments[of_instrument], heights[of_height]
    if not rows:
        raise _wrong(str(file), "it holds no note")
    return rows


def _facts(values: tuple[Any, ...], flags: tuple[Any, ...]) -> dict[str, str]:
    for key, value in zip(FACTS.values(), values, strict=True):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{key} is {value!r}")
    if flags and (len(flags) != len(QUALITIES) or not set(flags) <= {0, 1}):
        raise ValueError(f"qualities are {list(flags)!r}")
    qualities = {f"quality_{name}": "1" if flag else "0" for name, flag in zip(QUALITIES, flags, strict=False)}
    return {name: value for name, value in zip(FACTS, values, strict=True) if value} | qualities


def _heights(values: tuple[Any, ...]) -> dict[str, str]:
    for name, value in zip(HEIGHTS, values, strict=True):
        if value is not None and type(value) is not int:
            raise TypeError(f"{name} is {value!r}")
    return {name: str(value) for name, value in zip(HEIGHTS, values, strict=True) if value is not None}


def _wrong(where: str, came: str) -> CorpusError:
    return CorpusError(where, came, "one JSON object of one object per note", "restore the original file")


def _members(file: Path) -> Iterator[tuple[int, str, Any]]:
    """Line, name and value of each member of the one object in a file."""
    need_file(file, MOST_BYTES)
    try:
        with file.open(encoding="utf-8-sig") as source:
            window = _Window(file, source)
            sign = "}" if window.skip(OPEN, "{") else ","
            while sign == ",":
                window.move()
                line, name = window.line, window.value()
                if not isinstance(name, str):
                    raise window.broken("a name that is no string")
                window.skip(COLON, ":")
                yield line, name, window.value()
                sign = window.skip(NEXT, ", or }")
            if window.rest().strip():
                raise window.broken("more after the object's end")
    except FileNotFoundError as error:
        raise CorpusError(file, "no such file", "the notes of this part", "unpack the whole part") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(file, f"cannot be read ({error})", "a text file in UTF-8", "restore the original") from error


class _Window:
    """What of a JSON text is at hand, and where in it reading has come to."""

    def __init__(self, file: Path, source: TextIOBase) -> None:
        self.file = file
        self.source = source
        self.text = source.read(CHUNK)
        self.at = 0
        self.counted = 0  # up to where lines are
        self.lines = 1
        self.passed = 0  # characters before the text at hand
        self.decode = json.JSONDecoder().raw_decode

    def move(self) -> None:
        """Have a whole note at hand, as far as the file goes."""
        if len(self.text) - self.at < NOTE and (more := self.source.read(CHUNK)):
            self.lines, self.passed = self.line, self.passed + self.at
            self.text, self.at, self.counted = self.text[self.at :] + more, 0, 0

    @property
    def line(self) -> int:
        """Line of the place reading has come to."""
        self.lines += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.lines

    def value(self) -> Any:
        """JSON value that begins here."""
        try:
            begin = self.at
            value, self.at = self.decode(self.text, self.at)
            if self.text.find("\\u", begin, self.at) >= 0:
                json.dumps(value, ensure_ascii=False).encode()  # ValueError for half a character
        except json.JSONDecodeError as error:
            self.at = error.pos
            raise self.broken(error.msg) from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets by the thousand
            raise self.broken(str(error)) from error
        return value

    def skip(self, pattern: re.Pattern[str], expected: str) -> str:
        """Pass what the pattern describes; its group, where it has one."""
        found = pattern.match(self.text, self.at)
        if not found:
            raise self.broken(f"no {expected}")
        self.at = found.end()
        return found[1] if pattern.groups else ""

    def rest(self) -> str:
        """Text from here to where the file ends, or a chunk of it."""
        return self.text[self.at :] + self.source.read(CHUNK)

    def broken(self, why: str) -> CorpusError:
        """Error that says where reading has come to."""
        return _wrong(f"{self.file}, line {self.line}", f"cannot be read ({why}, at character {self.passed + self.at})")
