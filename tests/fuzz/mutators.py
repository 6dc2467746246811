"""Changed copies of sound inputs: every one is made of a sound input and a random.Random alone."""

import json
import struct
from collections.abc import Callable, Sequence
from random import Random

MOST_BYTES = 1 << 18  # of a mutant; text may be longer where its length is the point

# what lengths, counts and offsets are set to
EXTREMES = {
    1: (0, 1, 0x7F, 0x80, 0xFF),
    2: (0, 1, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FFF_FFF0, 0x4000_0000),
    8: (0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF),
}
CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}

ODD_TEXTS = (
    "\0",
    "\x01",
    "\x1b[2J",
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202e",
    "\U0001f600",
    "\u0130",
    "\u01c6",
    "9" * 30,
    "9" * 5000,
    "-1",
    "1e999",
    "-0.0",
    "NaN",
    "Infinity",
    "-Infinity",
    ".nan",
    ".inf",
    "1_000",
    "\u0663",
    "\u00b2",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "18446744073709551616",
    "1e-400",
    "2147483648",
    "null",
    "true",
    "~",
    "[]",
    "{}",
    '""',
    "''",
    '"',
    "'",
    ",",
    ",,,,",
    ";",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\n\n\n",
    "|",
    "\\",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../../b.wav",
    "C:\\x.wav",
    "\\\\host\\share",
    "%s%n",
    "{0}",
    "!!python/object/apply:os.system ['touch PWNED']",
    "!!python/name:os.system",
    "!!binary aGk=",
    "&a",
    "*a",
    "<<",
    "? ",
    "=cmd|'touch PWNED'!A1",
    "__import__('os').system('touch PWNED')",
    "$(touch PWNED)",
    "`touch PWNED`",
    "x" * 300,
    "x" * 70_000,
    "\u00e9" * 200,
)
BOMB_YAML = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
TAGS_YAML = (
    "!!python/object/apply:os.system ['touch PWNED']",
    "!!python/object/new:os.system [touch PWNED]",
    "!!python/object/apply:builtins.open [PWNED, w]",
    "!!python/module:os",
    "!!python/tuple [1, 2]",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!timestamp 2001-01-01",
    "2001-99-99",
    "0b2",
    "1:99:99",
    "!!int x",
    "!!float x",
    "!!bool maybe",
    "!!binary '*'",
    "!!str {a: 1}",
    "!!map [1]",
    "!!seq {a: 1}",
)


def binary(seeds: Sequence[bytes], dice: Random) -> bytes:
    """One of the seeds with one to four changes."""
    made = bytearray(dice.choice(seeds) or b"\0")
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        made = dice.choice(_BINARY)(made, dice, seeds) or bytearray(b"\0")
    return bytes(made[:MOST_BYTES])


def text(seeds: Sequence[bytes], dice: Random) -> bytes:
    """One of the seeds, which are text, changed as text or, less often, as bytes."""
    if dice.random() < 0.15:
        return binary(seeds, dice)
    made = dice.choice(seeds).decode("utf-8", "replace")
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        made = dice.choice(_TEXT)(made, dice)
    return _encoded(made, dice)


def yaml(seeds: Sequence[bytes], dice: Random) -> bytes:
    """As `text`, with what YAML alone has: tags, anchors, bombs, keys that stand twice."""
    if dice.random() < 0.6:
        return text(seeds, dice)
    lines = dice.choice(seeds).decode().split("\n")
    place = dice.randrange(len(lines))
    kind = dice.randrange(6)
    if kind == 0:
        key = lines[place].partition(":")[0]
        lines[place] = f"{key}: {dice.choice((*TAGS_YAML, *ODD_TEXTS[:40]))}"
    elif kind == 1:
        lines.insert(place, lines[place])
    elif kind == 2:
        lines = [*BOMB_YAML.split("\n"), *lines] if dice.random() < 0.5 else [*lines, f"z: {_cyclic(dice)}"]
    elif kind == 3:
        key = lines[place].partition(":")[0]
        opening = dice.choice(("[", "{a: ", "- ", "? ", "!!seq [", "&x ["))
        lines[place] = f"{key}: {opening * dice.choice((50, 900, 5_000, 30_000))}"
    elif kind == 4:
        lines.insert(
            place, dice.choice(("<<: *nobody", "<<: [1]", "? [a, b]\n: 1", "1: 2", "---", "...", "%YAML 9.9", "~: x"))
        )
    else:
        lines[place] = dice.choice(TAGS_YAML)
    return _encoded("\n".join(lines), dice)


def json_values(seeds: Sequence[bytes], dice: Random) -> bytes:
    """One of the seeds, which are JSON, with a few of its values, keys or members changed; or changed as text."""
    if dice.random() < 0.35:
        return text(seeds, dice)
    try:
        made = json.loads(dice.choice(seeds))
    except ValueError:
        return text(seeds, dice)
    for _ in range(dice.choice((1, 1, 2, 3))):
        made = _json_changed(made, dice)
    return json.dumps(made, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def json_lines(seeds: Sequence[bytes], dice: Random) -> bytes:
    """As `json_values`, of lines that are JSON each."""
    if dice.random() < 0.35:
        return text(seeds, dice)
    lines = [line for line in dice.choice(seeds).split(b"\n") if line]
    place = dice.randrange(len(lines))
    lines[place] = json_values([lines[place]], dice)
    return b"\n".join(lines) + b"\n"


def cells(seeds: Sequence[bytes], dice: Random) -> bytes:
    """One of the seeds, a table of comma-separated cells, changed by cell, row and column; or changed as text."""
    if dice.random() < 0.4:
        return text(seeds, dice)
    rows = [line.split(",") for line in dice.choice(seeds).decode("utf-8", "replace").split("\n")]
    row = dice.choice(rows)
    place = dice.randrange(len(row))
    kind = dice.randrange(6)
    if kind == 0:
        row[place] = dice.choice(ODD_TEXTS)
    elif kind == 1:
        del row[place]
    elif kind == 2:
        row.insert(place, dice.choice(ODD_TEXTS))
    elif kind == 3:
        order = dice.sample(range(max(map(len, rows))), max(map(len, rows)))
        rows = [[line[n] for n in order if n < len(line)] for line in rows]
    elif kind == 4:
        rows.insert(dice.randrange(len(rows) + 1), list(dice.choice(rows)))
    else:
        row[place] = f'"{row[place]}{dice.choice(ODD_TEXTS)}"'
    return _encoded("\n".join(",".join(line) for line in rows), dice)


def _flip(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    for _ in range(dice.choice((1, 1, 2, 8, 32))):
        made[dice.randrange(len(made))] ^= 1 << dice.randrange(8)
    return made


def _near_start(made: bytearray, dice: Random) -> int:
    """A place, more often one in the first bytes, where headers stand."""
    return dice.randrange(min(len(made), dice.choice((16, 64, 256, len(made)))))


def _set(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    place = _near_start(made, dice)
    count = dice.choice((1, 1, 2, 4, 16))
    made[place : place + count] = bytes([dice.choice((0, 0xFF, 0x7F, 0x80))]) * len(made[place : place + count])
    return made


def _extreme(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    size = dice.choice((1, 2, 4, 4, 4, 8, 8))
    step = dice.choice((1, 2, size))
    place = _near_start(made, dice) // step * step
    if place + size <= len(made):
        code = dice.choice("<>") + CODES[size]
        made[place : place + size] = struct.pack(code, dice.choice(EXTREMES[size]))
    return made


def _nearly(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    """A number that stands there, changed by a little, doubled, or negative."""
    size = dice.choice((2, 4, 8))
    place = _near_start(made, dice)
    if place + size <= len(made):
        code = dice.choice("<>") + CODES[size]
        (number,) = struct.unpack_from(code, made, place)
        number = dice.choice((number + 1, number - 1, number * 2, -number, number ^ (1 << (8 * size - 1))))
        struct.pack_into(code, made, place, number % (1 << 8 * size))
    return made


def _span(made: bytearray, dice: Random) -> tuple[int, int]:
    begin = _near_start(made, dice)
    return begin, min(len(made), begin + dice.choice((1, 2, 4, 16, 100, 1000)))


def _delete(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    begin, end = _span(made, dice)
    del made[begin:end]
    return made


def _repeat(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    begin, end = _span(made, dice)
    made[begin:begin] = made[begin:end] * dice.choice((1, 2, 10))
    return made


def _swap(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    (a, b), (c, d) = _span(made, dice), _span(made, dice)
    one, two = made[a:b], made[c:d]
    made[c:d] = one
    made[a:b] = two
    return made


def _cut(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    return made[: _near_start(made, dice)] if dice.random() < 0.5 else made[: dice.randrange(len(made) + 1)]


def _splice(made: bytearray, dice: Random, seeds: Sequence[bytes]) -> bytearray:
    other = dice.choice(seeds)
    return made[: dice.randrange(len(made) + 1)] + other[dice.randrange(len(other) + 1) :]


def _noise(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    begin, end = _span(made, dice)
    made[begin:end] = dice.randbytes(end - begin)
    return made


def _tail(made: bytearray, dice: Random, _: Sequence[bytes]) -> bytearray:
    return made + dice.randbytes(dice.choice((1, 16, 1000)))


_BINARY: tuple[Callable[[bytearray, Random, Sequence[bytes]], bytearray], ...] = (
    *(_flip, _flip, _set, _set, _extreme, _extreme, _extreme, _nearly, _nearly),
    *(_delete, _repeat, _swap, _cut, _splice, _noise, _tail),
)


def _put(made: str, dice: Random) -> str:
    place = dice.randrange(len(made) + 1)
    return made[:place] + dice.choice(ODD_TEXTS) + made[place:]


def _replace_word(made: str, dice: Random) -> str:
    """A word, number or cell replaced by an odd one."""
    words = _words(made)
    if not words:
        return made + dice.choice(ODD_TEXTS)
    begin, end = dice.choice(words)
    return made[:begin] + dice.choice(ODD_TEXTS) + made[end:]


def _words(made: str) -> list[tuple[int, int]]:
    found, begin = [], None
    for place, sign in enumerate(f"{made[:4000]} "):
        if sign.isalnum() or sign in "._-":
            begin = place if begin is None else begin
        elif begin is not None:
            found.append((begin, place))
            begin = None
    return found


def _line_changed(made: str, dice: Random) -> str:
    lines = made.split("\n")
    place = dice.randrange(len(lines))
    kind = dice.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(dice.randrange(len(lines) + 1), lines[place])
    elif kind == 2:
        other = dice.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    elif kind == 3:
        lines[place] = lines[place][: dice.randrange(len(lines[place]) + 1)]
    else:
        lines[place] += " " * dice.choice((1, 5000)) + dice.choice(ODD_TEXTS)
    return "\n".join(lines)


def _letters(made: str, dice: Random) -> str:
    made = made or " "
    place = dice.randrange(len(made))
    sign = chr(
        dice.choice((dice.randrange(128), dice.randrange(0x250), dice.randrange(0xD800), 0xD800, 0xDFFF, 0x10FFFF))
    )
    return made[:place] + sign + made[place + dice.choice((0, 1)) :]


def _ends(made: str, dice: Random) -> str:
    return made.replace("\n", dice.choice(("\r\n", "\r", "\u2028", "", "\n\r", "\x0b", "\n" * 3)))


def _deep(made: str, dice: Random) -> str:
    place = dice.randrange(len(made) + 1)
    return made[:place] + dice.choice("[{(\"'") * dice.choice((10, 2_000, 100_000)) + made[place:]


def _nothing(_: str, dice: Random) -> str:
    return dice.choice(("", " ", "\n", "\0", "\ufeff", "0", "[]", "{}", "null", '""', "-"))


def _case(made: str, dice: Random) -> str:
    return dice.choice((made.upper(), made.lower(), made.swapcase(), made[::-1]))


_TEXT: tuple[Callable[[str, Random], str], ...] = (
    *(_put, _put, _replace_word, _replace_word, _replace_word, _line_changed, _line_changed, _letters, _letters),
    *(_ends, _deep, _nothing, _case),
)


def _encoded(made: str, dice: Random) -> bytes:
    chance = dice.random()
    if chance < 0.9:
        return made.encode("utf-8", "surrogatepass")
    return made.encode(dice.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1")), "backslashreplace")


def _cyclic(dice: Random) -> str:
    return dice.choice(("&a [*a]", "&a {b: *a}", "&a [[[*a]]]", "*none", "&a {<<: *a}"))


def odd_value(dice: Random) -> object:
    """A value that stands nowhere by right."""
    return dice.choice(
        (
            None,
            True,
            False,
            0,
            -1,
            1,
            2**31,
            2**63,
            2**64,
            -(2**63) - 1,
            10**40,
            1e308,
            0.5,
            -0.0,
            float("nan"),
            float("inf"),
            "",
            "x",
            "\0",
            "\ud800",
            "../x",
            "/x",
            "x" * 5000,
            [],
            {},
            [[]],
            [None],
            {"": None},
            {"a": {"a": {}}},
            [0] * 50,
            _nested(dice.choice((5, 400))),
        ),
    )


def _nested(depth: int) -> object:
    made: object = 0
    for _ in range(depth):
        made = [made]
    return made


def _json_changed(made: object, dice: Random) -> object:
    """The value with one place of it changed: one step down at a time, to any depth."""
    if not isinstance(made, (dict, list)) or not made or dice.random() < 0.1:
        return odd_value(dice)
    keys = list(made) if isinstance(made, dict) else list(range(len(made)))
    key = dice.choice(keys)
    kind = dice.random()
    if kind < 0.1:
        del made[key]
    elif kind < 0.2 and isinstance(made, dict):
        made[dice.choice(("", "x", "\0", "path", "\ud800", "__class__", "../x"))] = made[key]
    elif kind < 0.2 and isinstance(made, list):
        made.append(made[key])
    else:
        made[key] = _json_changed(made[key], dice)
    return made
