"""Good-Sounds: single notes and scales of twelve instruments, played well and, on purpose, badly, at 48 kHz.

8,750 sounds by 15 musicians; up to four microphones recorded a sound at once, which makes 16,308 files ("takes").
Layout: `sound_files/<pack>/<microphone>/<file>.wav`, some of which hold FLAC data; what is known of them stands in
`database.sqlite`, or in `sounds.json`, `packs.json`, `takes.json` that somebody made of it. The tables may lie beside
`sound_files/` or one folder above. No split is published. Ratings that musicians gave themselves are not read.

A sound's `klass` is free text of its recordists, such as `good-sound`, `bad-attack`, `scale-bad-timbre-minor`;
`goodness` is what GOODNESS below makes of it. Takes of one sound share their `performance`. `semitone` is as
published, where C4 is 48. Licence: CC BY-SA 4.0 by mirdata's word; an earlier release said CC BY-NC 4.0 (neither
confirmed at the source).
"""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from at_data.corpora import Archive, Count, from_json, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY-SA 4.0 (by mirdata's word; see Zenodo record 820937)"
SOURCE = "Zenodo record 820937 (audio and database.sqlite); its tables as JSON: Zenodo record 4588740"
CITATION = (
    "O. Romani Picas, H. Parra Rodriguez, D. Dabiri, H. Tokuda, W. Hariya, K. Oishi, X. Serra, 'A Real-Time System for "
    "Measuring Sound Goodness in Instrumental Sounds', 138th AES Convention, 2015; doi:10.5281/zenodo.820937"
)
GROUPS = ("pack", "performance", "player")
UNPACKS_TO = ("good-sounds",)
COUNTS = (
    Count((16_308,), of="take"),
    Count((8_750,), of="take", distinct="performance"),
    Count((12,), of="instrument", distinct="instrument"),
    Count((15,), of="player", distinct="player"),
)
# md5: mirdata records it for zenodo.org/records/820937, whose page gives the size in GB only; by mirdata's paths the
# archive holds one folder, good-sounds
ARCHIVES: tuple[Archive, ...] = (
    Archive(
        "all",
        "https://zenodo.org/records/820937/files/good-sounds.zip?download=1",
        "md5:2137bbb2d32c1d60aa51e1301225f541",
        13_900_000_000,
        "good-sounds",
        strip=1,
        size_is_exact=False,
    ),
)
ACCESS = ""

# What a klass is called, by the first pattern found in it. The paper has the classes good-sound, bad-dynamics,
# bad-pitch, bad-timbre and bad-attack. Its authors took bad-richness for bad-timbre and, because there are few,
# several-bad-pitch for bad-pitch; they left out scale, several and other. Which of that is done, `keep` says.
GOODNESS = (
    ("scale", r"scale"),
    ("several-bad-pitch", r"^(?=.*bad-pitch).*( |bad.*bad)"),  # among several tags
    ("several", r" |bad.*bad"),
    ("bad-pitch", r"bad-pitch"),
    ("bad-timbre", r"bad-timbre"),
    ("bad-richness", r"bad-richness"),
    ("bad-attack", r"bad-attack"),
    ("bad-dynamics", r"bad-dynamics"),
    ("good-sound", r"good-sound"),
    ("other", r""),  # good-timbre-wood, bad-stability-timbre, air-outside ...
)

AUDIO = "sound_files"
DATABASE = "database.sqlite"
LONGEST = 1 << 16  # bytes of a cell of the database
# Tables and the columns they cannot do without.
TABLES = {"packs": ("id", "name"), "sounds": ("id", "pack_id", "instrument", "klass"), "takes": ("id", "filename")}
FACTS = (  # of a sound, as published
    *("instrument", "klass", "player", "dynamics", "semitone", "reference", "pitch_reference"),
    *("bow_velocity", "bridge_position", "string"),
)

_SOUND = {
    "id": 1,
    "instrument": "flute",
    "klass": "good-sound",
    "player": "ann",
    "note": "C",
    "octave": 4,
    "pack_id": 1,
}
_FLUTE = {
    "goodness": "good-sound",
    "klass": "good-sound",
    "instrument": "flute",
    "player": "ann",
    "performance": "1",
    "pitch": "C4",
    "semitone": "48",
    "reference": "1",
}
_CELLO = {"goodness": "several-bad-pitch", "klass": "bad-pitch bad-timbre", "instrument": "cello", "performance": "2"}


def _example(path: str, attributes: Mapping[str, str]) -> Recording:
    _, pack, microphone, _ = path.split("/")
    known = {"pack": pack, "microphone": microphone, **attributes}
    return Recording(path.removesuffix(".wav"), "good_sounds", path, known)


EXAMPLE: dict[str, Any] = {
    "files": {
        "packs.json": '{"1": {"id": 1, "name": "flute_ann"}}',
        "sounds.json": json.dumps(
            {
                "1": {**_SOUND, "semitone": 48, "reference": 1, "dynamics": None},
                "2": {"id": 2, "instrument": "cello", "klass": "bad-pitch bad-timbre", "player": "", "pack_id": None},
            }
        ),
        "takes.json": json.dumps(
            {
                "1": {"id": 1, "sound_id": 1, "microphone": "neumann", "filename": f"{AUDIO}/flute_ann/neumann/0.wav"},
                "2": {"id": 2, "sound_id": 1, "microphone": "akg", "filename": f"{AUDIO}/flute_ann/akg/0.wav"},
                "3": {"id": 3, "sound_id": 2, "microphone": "akg", "filename": f"{AUDIO}/cello_bob/akg/0.wav"},
                "4": {"id": 4, "sound_id": 2, "microphone": "akg", "filename": None},
            }
        ),
        f"{AUDIO}/cello_bob/akg/0.wav": None,
        f"{AUDIO}/flute_ann/akg/0.wav": None,
        f"{AUDIO}/flute_ann/akg/._0.wav": "what a file system left behind",
        f"{AUDIO}/flute_ann/akg/9.wav": None,
        f"{AUDIO}/flute_ann/neumann/0.wav": None,
    },
    "recordings": (
        _example(f"{AUDIO}/cello_bob/akg/0.wav", {**_CELLO, "take": "3", "microphone_number": "1"}),
        _example(f"{AUDIO}/flute_ann/akg/0.wav", {**_FLUTE, "take": "2", "microphone_number": "1"}),
        _example(f"{AUDIO}/flute_ann/akg/9.wav", {}),
        _example(f"{AUDIO}/flute_ann/neumann/0.wav", {**_FLUTE, "take": "1", "microphone_number": "2"}),
    ),
}


def folder(root: Path) -> Path:
    """Folder that holds `sound_files/`: `root`, or `good-sounds` in it, as the archive unpacks."""
    inner = root / UNPACKS_TO[0]
    return inner if (inner / AUDIO).is_dir() and not (root / AUDIO).is_dir() else root


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of a Good-Sounds folder, in order of path.

    Attributes: pack, microphone; of a take that the tables name also take, performance, microphone_number (1 for the
    first microphone of a performance in order of path); of its sound klass, goodness, instrument, player, pitch (C4),
    semitone, dynamics, reference and the like. A wav file that no table names has what its path says; a take without
    a file is yielded too. Tables and files may write the suffix `.wav` in another case. CorpusError where there is no
    `sound_files/`, no table or an empty one, and with the row where one is broken, or gives a second thing one id.
    """
    need_folder(root)
    base = folder(root)
    if not (base / AUDIO).is_dir():
        raise CorpusError(root, f"no folder {AUDIO}", f"{AUDIO}/<pack>/<microphone>/", "point at the folder around it")
    tables = _database(root, base) or _json_tables(root, base)
    found = {f"{AUDIO}/{path}" for path in walk(base / AUDIO, ".wav")}
    files = {path[: -len(".wav")]: path for path in sorted(found)}
    known = _takes(tables["takes"], _sounds(tables["sounds"], tables["packs"]), files)
    for path in sorted(found | known.keys()):
        item = PurePosixPath(path).with_suffix("").as_posix()
        yield Recording(item, "good_sounds", path, {**_place(path), **known.get(path, {})})


def _place(path: str) -> dict[str, str]:
    """What a path says."""
    parts = path.split("/")
    return {"pack": parts[1], "microphone": parts[2]} if len(parts) == 4 else {}  # noqa: PLR2004 - down to the file


@cache
def goodness(klass: str) -> str:
    """Name of the first kind in GOODNESS that a klass is of."""
    return next(name for name, pattern in GOODNESS if re.search(pattern, klass))


Table = list[tuple[str, Mapping[str, Any]]]
"""Where each row stands, and its cells by column."""


def _sounds(sounds: Table, packs: Table) -> dict[str, dict[str, str]]:
    """Id of each sound -> its attributes."""
    pack_names: dict[str, str | None] = {}
    for where, row in packs:
        pack_names[_new(where, "pack", row, pack_names)] = _text(where, row["name"])
    found: dict[str, dict[str, str]] = {}
    for where, row in sounds:
        facts = {name: _text(where, row.get(name)) for name in FACTS}
        facts["pack"] = pack_names.get(_text(where, row["pack_id"]) or "")
        facts["goodness"] = goodness(facts["klass"]) if facts["klass"] else None
        note, octave = (_text(where, row.get(name)) for name in ("note", "octave"))
        facts["pitch"] = f"{note}{octave}" if note and octave else None
        found[_new(where, "sound", row, found)] = {name: value for name, value in facts.items() if value}
    return found


def _new(where: str, what: str, row: Mapping[str, Any], above: Mapping[str, object]) -> str:
    """Id of a row; CorpusError where it has none, or one that stands above."""
    name = _text(where, row["id"])
    if name is None or name in above:
        raise _broken(where, f"{what} without an id" if name is None else f"{what} {name} a second time")
    return name


def _takes(takes: Table, sounds: Mapping[str, dict[str, str]], files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Path of each take -> its attributes and those of its sound; of two takes of one file, what they agree in.

    `files` are those that are there, by path without suffix: a take has the path of its file where there is one.
    """
    found: dict[str, dict[str, str]] = {}
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for where, row in takes:
        path = _path(where, _text(where, row["filename"]))
        if path is None:
            continue  # a take that names no file is no recording
        if path.lower().endswith(".wav"):
            path = files.get(path[: -len(".wav")], path)
        sound = _text(where, row.get("sound_id"))
        own = {"take": _text(where, row["id"]), "performance": sound, "microphone": _text(where, row.get("microphone"))}
        facts = {**sounds.get(sound or "", {}), **{name: value for name, value in own.items() if value}}
        earlier = found.get(path, facts)
        found[path] = {name: value for name, value in facts.items() if earlier.get(name) == value}
        if sound:
            paths[sound].append(path)
    for members in paths.values():
        for number, path in enumerate(sorted(set(members)), start=1):
            found[path]["microphone_number"] = str(number)
    return found


def _path(where: str, text: str | None) -> str | None:
    path = PurePosixPath(text or "")
    if text and (path.is_absolute() or ".." in path.parts or "\\" in text or path.as_posix() != text):
        raise _broken(where, f"filename is '{text}'")
    return text


def _text(where: str, value: object) -> str | None:
    """Cell as text; None where it is empty."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or isinstance(value, (str, int, float)):
        return (str(value).strip() or None) if value is not None else None
    raise _broken(where, f"a cell is of type {type(value).__name__}")


def _broken(where: object, came: str) -> CorpusError:
    return CorpusError(where, came, "a table of Good-Sounds as published", "restore the original file")


def _near(root: Path, base: Path) -> tuple[Path, ...]:
    """Folders a table may lie in: beside the audio, or one above."""
    above = base.absolute()
    return (base, root, *([above.parent] if above.name == UNPACKS_TO[0] else []))


def _database(root: Path, base: Path) -> dict[str, Table] | None:
    """Tables of the database; None where there is none. Nothing is written beside it, whoever made it."""
    file = next((place / DATABASE for place in _near(root, base) if (place / DATABASE).is_file()), None)
    if file is None:
        return None
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
            return {name: _rows(connection, file, name, needed) for name, needed in TABLES.items()}
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise _broken(file, f"cannot be read ({error})") from error


def _rows(connection: sqlite3.Connection, file: Path, name: str, needed: tuple[str, ...]) -> Table:
    query = "SELECT type, sql LIKE 'CREATE TABLE%' FROM sqlite_master WHERE name = ?"
    if connection.execute(query, (name,)).fetchone() != ("table", 1):  # a view or virtual table could compute for ever
        raise _broken(file, f"no table {name}")
    where = f"{file}, table {name}"
    cursor = connection.execute(f"SELECT * FROM {name}")  # noqa: S608 - one of TABLES
    columns = [column[0] for column in cursor.description]
    _need(where, columns, needed)
    rows: Table = []
    left = file.stat().st_size  # pages that point in circles hold rows without end, columns that compute hold anything
    for number, row in enumerate(cursor, 1):
        left -= 1 + sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
        if left < 0:
            raise _broken(where, f"{number:,} rows and more, larger than the file")
        rows.append((f"{where}, row {number}", dict(zip(columns, row, strict=True))))
    if not rows:
        raise _broken(where, "it has no row")
    return rows


def _json_tables(root: Path, base: Path) -> dict[str, Table]:
    place = next((place for place in _near(root, base) if any((place / f"{n}.json").is_file() for n in TABLES)), None)
    if place is None:
        expected = f"{DATABASE}, or {', '.join(f'{name}.json' for name in TABLES)}"
        raise CorpusError(base, "no table that says what was played", expected, "unpack the whole corpus")
    return {name: _json_table(place / f"{name}.json", needed) for name, needed in TABLES.items()}


def _json_table(file: Path, needed: tuple[str, ...]) -> Table:
    """Rows of a table: an object of one object per id, or a list of such objects."""
    try:
        table = from_json(text_of(file))
    except ValueError as error:
        raise _broken(file, f"cannot be read ({error})") from error
    if not isinstance(table, (dict, list)):
        raise _broken(file, f"holds {type(table).__name__}")
    rows = table.items() if isinstance(table, dict) else enumerate(table, 1)
    found: Table = []
    for key, row in rows:
        where = f"{file}, entry {key}"
        if not isinstance(row, dict):
            raise _broken(where, f"holds {type(row).__name__}")
        _need(where, row, needed)
        found.append((where, row))
    if not found:
        raise _broken(file, "it has no row")
    return found


def _need(where: str, present: Mapping[str, Any] | list[str], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in present]
    if missing:
        raise _broken(where, f"no {missing[0]}")
