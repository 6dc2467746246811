"""Label files of every corpus that has some, names of recordings, a database, and links and pipes in their place."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from math import isfinite
from pathlib import Path, PurePosixPath
from random import Random
from types import ModuleType
from typing import Any

import trees

from at_data import alignment, corpora
from at_data.corpora import Counting, good_sounds
from at_data.recordings import Recording
from fuzz import mutators
from fuzz.campaigns import Act, Campaign, Files, files_in, put

Mutator = Callable[[Sequence[bytes], Random], bytes]

MUTATORS: dict[str, Mutator] = {".csv": mutators.cells, ".json": mutators.json_values, ".jsonl": mutators.json_lines}
CASES = {
    "arabic_speech_commands": 250,
    "audiomnist": 300,
    "crema_d": 300,
    "emodb": 0,
    "esc50": 400,
    "fsdd": 250,
    "good_sounds": 500,
    "gsc": 400,
    "iemocap": 500,
    "librispeech": 600,
    "nsynth": 500,
}
JSONL = (
    '{"path": "talk/ann.wav", "start_s": 0.05, "length_s": 0.04, "split": "test", "word": "no", "speaker": "ann"}\n'
    '{"path": "bob.flac", "split": "train", "id": "bob-says-yes", "word": "yes", "age": 30, "native": true}\n'
)
TABLE_CSV = (
    "path,start_s,length_s,split,id,word,speaker\ntalk/ann.wav,0.05,0.04,test,,no,ann\ntalk/ann.wav,0,0.05,test,,yes,ann\n"
    "bob.flac,,,train,bob-says-yes,yes,\n"
)
SHORT_GRID = (
    'File type = "ooTextFile"\n"TextGrid"\n\n0\n0.1\n<exists>\n1\n"IntervalTier"\n"words"\n0\n0.1\n2\n'
    '0\n0.05\n"he"\n0.05\n0.1\n"hoped"\n'
)


def read_all(module: ModuleType, root: Path) -> None:
    """Every recording of a folder, each one sound."""
    counting = Counting(module)
    for recording in counting.over(module.recordings(root)):
        check(recording)
    list(counting.differences())


def check(recording: Recording) -> None:
    """AssertionError where a recording is not what all that comes after it relies on."""
    path = PurePosixPath(recording.path)
    assert not path.is_absolute(), recording
    assert ".." not in path.parts, recording
    assert recording.id, recording
    for text in (recording.id, *recording.attributes, *recording.attributes.values()):
        assert isinstance(text, str), recording
        text.encode()  # it will stand in tables and in JSON
    for seconds in (recording.start_s, recording.length_s):
        assert seconds is None or (isfinite(seconds) and seconds >= 0), recording
    assert recording.published_split in {"train", "valid", "test", None}, recording


def _example(module: ModuleType, _: Path) -> Files:
    files = module.EXAMPLE["files"]
    return {name: b"" if text is None else text.encode() for name, text in files.items()}


def _labels(files: Files) -> list[str]:
    """Names of files that a reader looks into."""
    return [
        name
        for name, content in files.items()
        if content and "/._" not in name and not name.lower().startswith("readme")
    ]


def _lay(module: ModuleType, extra: Files, files: Files, dice: Random, folder: Path) -> Act:
    files = {**files, **extra}
    names = _labels(files)
    name = dice.choice(names)
    mutate = MUTATORS.get(PurePosixPath(name).suffix, mutators.text)
    if name.endswith("audioMNIST_meta.txt"):
        mutate = mutators.json_values
    put(folder, files | {name: mutate([files[name]], dice)})
    if dice.random() < 0.05:
        _odd_file(folder / dice.choice(list(files)), dice)
    return partial(read_all, module, folder)


def _odd_file(path: Path, dice: Random) -> None:
    """A link, folder or pipe in place of a file."""
    path.unlink()
    kind = dice.randrange(6)
    if kind == 0:
        path.symlink_to(dice.choice(("/etc/passwd", "/dev/zero", "/dev/null", "nowhere", "/", "..", path.name)))
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.symlink_to("/dev/zero")
    elif kind == 4:
        path.write_bytes(b"")
        path.chmod(0)


def _table(listing: str, files: Files, dice: Random, folder: Path) -> Act:
    module = corpora.load("table")
    name = f"recordings.{listing}"
    mutate = MUTATORS[f".{listing}"]
    put(folder, {name: mutate([files[name]], dice), "bob.flac": b""})
    return partial(read_all, module, folder)


def _named(_: Path) -> dict[str, Files]:
    return {name: _example(corpora.load(name), _) for name in corpora.names()}


def _lay_names(examples: dict[str, Files], dice: Random, folder: Path) -> Act:
    """A corpus with a few of its files and folders called otherwise, in bytes that no encoding may know."""
    corpus = dice.choice(list(examples))
    files = dict(examples[corpus])
    for _ in range(dice.choice((1, 1, 2, 3))):
        name = dice.choice(list(files))
        content = files.pop(name)
        files.setdefault(_renamed(name, dice), content)
    for name, content in files.items():
        try:
            put(folder, {name: content})
        except OSError:  # a file is in a folder's place, or the name is too long
            continue
    return partial(read_all, corpora.load(corpus), folder)


def _renamed(name: str, dice: Random) -> str:
    parts = name.split("/")
    place = dice.randrange(len(parts))
    stem, dot, suffix = parts[place].rpartition(".")
    kind = dice.randrange(5)
    if kind == 0:
        made = os.fsdecode(mutators.binary([os.fsencode(parts[place])], dice)[:200])
    elif kind == 1:
        made = f"{mutators.text([os.fsencode(stem)], dice).decode('utf-8', 'surrogateescape')[:200]}{dot}{suffix}"
    elif kind == 2:
        made = f"{stem}{dot}{suffix.upper()}"
    elif kind == 3:
        made = f"{stem}{dice.choice(mutators.ODD_TEXTS)[:200]}{dot}{suffix}"
    else:
        made = dice.choice(("x", "..x", "a/b/c", " ", "\udcff.wav", "a\nb.wav", "x.wav"))
    made = "/".join(part for part in made.replace("\0", "").split("/") if part not in {"", ".", ".."}) or "x"
    made = made.encode("utf-8", "surrogateescape" if "\udcff" in made else "ignore").decode("utf-8", "surrogateescape")
    return "/".join((*parts[:place], made, *parts[place + 1 :]))


# Good-Sounds: a database

SCHEMAS = (
    "CREATE TABLE takes(id, sound_id, microphone, filename)",
    "CREATE TABLE takes(id, sound_id, microphone, filename, junk AS (zeroblob(1000000)))",
    "CREATE TABLE takes(id, sound_id, microphone, filename, junk AS (printf('%.*c', 900000, 'x')))",
    "CREATE TABLE takes(id, sound_id, microphone AS (1 / 0), filename AS (char(0, 55296, 1114111)))",
    "CREATE VIEW takes AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, x AS id FROM n",
    "CREATE VIRTUAL TABLE takes USING fts5(id, sound_id, microphone, filename)",
    "CREATE TABLE takes(id PRIMARY KEY, sound_id, microphone, filename) WITHOUT ROWID",
    'CREATE TABLE takes("id ", sound_id, "microphone", [filename])',
)
CELLS = (
    "1",
    "2",
    "NULL",
    "1e999",
    "-1",
    "'x'",
    "''",
    "x'ff00'",
    "zeroblob(100)",
    "9223372036854775807",
    "0.5",
    "char(55296)",
    "'sound_files/a/b/0.wav'",
    "'../../etc/passwd'",
    "'/etc/passwd'",
    "CAST(x'fffe' AS TEXT)",
    "'a' || char(0) || 'b'",
)


def _write_database(path: Path, schema: str, rows: Iterable[Sequence[str]]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE packs(id INTEGER PRIMARY KEY, name)")
        connection.execute("CREATE TABLE sounds(id INTEGER, pack_id, instrument, klass, player, note, octave)")
        connection.execute("INSERT INTO packs VALUES (1, 'flute_ann')")
        connection.execute("INSERT INTO sounds VALUES (1, 1, 'flute', 'good-sound', 'ann', 'C', 4)")
        connection.execute(schema)
        for row in rows:
            columns = "id, sound_id, microphone, filename"
            try:
                connection.execute(f"INSERT INTO takes({columns}) VALUES ({', '.join(row)})")  # noqa: S608
            except sqlite3.Error:
                continue
        connection.commit()


def _database(folder: Path) -> bytes:
    rows = [(str(n), "1", "'akg'", f"'sound_files/flute_ann/akg/{n}.wav'") for n in range(200)]
    _write_database(folder / "a.sqlite", SCHEMAS[0], rows)
    return (folder / "a.sqlite").read_bytes()


def _lay_database(seed: bytes, dice: Random, folder: Path) -> Act:
    put(folder, {"sound_files/flute_ann/akg/0.wav": b""})
    path = folder / good_sounds.DATABASE
    if dice.random() < 0.2:
        rows = [[dice.choice(CELLS) for _ in range(4)] for _ in range(4)]
        _write_database(path, dice.choice(SCHEMAS), [("1", "1", "'akg'", "'sound_files/flute_ann/akg/0.wav'"), *rows])
    else:
        path.write_bytes(mutators.binary([seed], dice))
    return partial(read_all, good_sounds, folder)


# transcripts


class _Silent:
    """An aligner that finds every letter at once."""

    sample_rate_hz, labels = 16_000, ("-", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'")

    def spans(self, _: Any, tokens: list[int]) -> tuple[list[tuple[int, int]], int]:
        return [(n, n + 1) for n in range(len(tokens))], len(tokens) + 1


SPOKEN = b"84-1-0000 GO DO DO\n84-1-0001 NOBODY ALIGNED THIS\n"


def _chapter(folder: Path) -> Files:
    return files_in(
        trees.lay_out(folder, trees.audio("dev-clean/84/1/84-1-0000.flac", "dev-clean/84/1/84-1-0001.flac"))
    )


def _lay_transcript(files: Files, dice: Random, folder: Path) -> Act:
    put(folder / "corpus", {**files, "dev-clean/84/1/84-1.trans.txt": mutators.text([SPOKEN], dice)})
    return partial(_align, folder)


def _align(folder: Path) -> None:
    alignment.align(folder / "corpus", out=folder / "out", aligner=_Silent())
    for file in (folder / "out").rglob("*.txt"):
        file.read_text(encoding="utf-8")


def _of(name: str, cases: int) -> Campaign:
    module = corpora.load(name)
    extra: Files = {}
    if name == "librispeech":
        extra = {"alignments/train-clean-100/60/1/60-1-0000.TextGrid": SHORT_GRID.encode()}
    return Campaign(f"labels/{name}", cases, partial(_example, module), partial(_lay, module, extra))


def _table_files(_: Path) -> Files:
    return {"recordings.csv": TABLE_CSV.encode(), "recordings.jsonl": JSONL.encode()}


CAMPAIGNS = (
    *(_of(name, cases) for name, cases in CASES.items() if cases),
    Campaign("labels/table_csv", 800, _table_files, partial(_table, "csv")),
    Campaign("labels/table_jsonl", 800, _table_files, partial(_table, "jsonl")),
    Campaign("labels/names", 800, _named, _lay_names, keeps=False),
    Campaign("labels/database", 600, _database, _lay_database),
    Campaign("labels/transcripts", 150, _chapter, _lay_transcript, out="out", keeps=False),
)
