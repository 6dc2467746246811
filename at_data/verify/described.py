"""A header held against itself and against its manifest, a line for each contradiction."""

import json
import re
from collections.abc import Iterator

from at_data import headers
from at_data.build.tables import NAMES
from at_data.errors import AtError
from at_data.headers import Header
from at_data.manifest import Manifest, parse
from at_data.recordings import samples_in
from at_data.stages import bias, spectra, splits

SPLITS = (*splits.SPLITS, bias.CONFLICTING)  # in the order of their shards
SHORT = 16  # characters of a hash that are shown
HASH = re.compile(r"[0-9a-f]{64}")


def manifest_of(header: Header) -> Manifest | str:
    """Manifest that a header holds, or why it is none."""
    try:
        made = parse(header.manifest, "dataset.json")
    except AtError as error:
        return f"none ({error.came})"
    return made


def contradictions(raw: bytes, header: Header, made: Manifest | str) -> Iterator[str]:
    """Lines for whatever in a header cannot stand beside the rest of it; `raw` is what lies on disk."""
    try:
        yield from _contradictions(raw, header, made)
    except Exception as error:  # noqa: BLE001 - numbers that somebody made up may break any sum
        yield f"makes no sense ({type(error).__name__}: {error})"


def _contradictions(raw: bytes, header: Header, made: Manifest | str) -> Iterator[str]:
    if header.content != headers.content(header):
        yield "altered, its content is not what it says"
    elif raw != (header.model_dump_json(indent=1) + "\n").encode():
        yield "altered, it says what it said, written otherwise"
    digest = made if isinstance(made, str) else made.digest
    if digest != header.digest:
        shown = digest if isinstance(made, str) else digest[:SHORT]
        yield f"its manifest has digest {shown}, it says {header.digest[:SHORT]}"
    if sorted(header.files) != sorted(NAMES):
        yield f"lists the files {', '.join(sorted(header.files))}, expected {', '.join(sorted(NAMES))}"
    yield from _shards(header)
    if not isinstance(made, str):
        yield from _promises(header, made)
        yield from _items(header, made)
    yield from _vocabulary(header)


def _shards(header: Header) -> Iterator[str]:
    """Shards by their names, which no reader has to look outside the folder for; their hashes; their items."""
    expected = []
    for split in SPLITS:
        total = sum(shard.split == split for shard in header.shards)
        expected += [f"shards/{split}-{number:05d}-of-{total:05d}.h5" for number in range(total)]
    if [shard.file for shard in header.shards] != expected:
        yield "its shards are not train, valid and test, each counted from 00000"
    for name, sha256 in [*((shard.file, shard.sha256) for shard in header.shards), *header.files.items()]:
        if not HASH.fullmatch(sha256):
            yield f"{sha256[:SHORT]!r} is no SHA-256 of {name}"
    for split, count in header.counts.items():
        held = sum(shard.items for shard in header.shards if shard.split == split)
        if held != count:
            yield f"says {count} {split} items, its shards hold {held}"


def _promises(header: Header, made: Manifest) -> Iterator[str]:
    """What stands in the header and in the manifest too."""
    bound = made.bias != "none" or (made.subset != "none" and made.subset.bias != "none")
    pairs = {
        "name": (header.name, made.name),
        "target": (header.target, made.target),
        "nuisances": (header.nuisances, list(made.nuisances)),
        "dtype": (header.dtype, made.store.dtype),
        "compression": (header.compression, made.store.compression),
        "padding": (header.padding, made.store.padding),
        "frames, bins": ((header.frames, header.bins), _shape(made)),
        "noise": (header.noise is None, made.noise == "none"),
        "bias": (header.bias is not None, bound),
        "splits": (tuple(header.counts), SPLITS if made.bias != "none" else splits.SPLITS),
    }
    for key, (said, expected) in pairs.items():
        if said != expected:
            yield f"{key}: says {said}, its manifest {expected}"


def _shape(made: Manifest) -> tuple[int, int] | str:
    """Frames and bins of an item, or why there are none; no window is made that is longer than any dataset's."""
    rate = made.audio.sample_rate_hz
    if made.stft.window_s * rate > 2 * headers.MOST_BINS:
        return f"windows of {made.stft.window_s} s at {rate} Hz"
    try:
        return spectra.shape(samples_in(made.segment.length_s, rate), made.stft, rate)
    except AtError as error:
        return error.came


def _items(header: Header, made: Manifest) -> Iterator[str]:
    """Numbers that follow from other numbers."""
    hours = {split: count * made.segment.length_s / 3600 for split, count in header.counts.items()}
    if header.hours != hours:
        yield f"hours: says {json.dumps(header.hours)}, its counts make {json.dumps(hours)}"
    by_class = {split: sum(found.values()) for split, found in header.class_counts.items()}
    if by_class != header.counts:
        yield f"class_counts: add up to {json.dumps(by_class)}, counts are {json.dumps(header.counts)}"
    known = set(header.classes)
    for split, found in header.class_counts.items():
        if not known.issuperset(found):
            yield f"class_counts: {split} has {', '.join(sorted(found.keys() - known))}, no class of {header.target}"
    accounts = dict(header.recordings)
    listed = accounts.pop("listed", None)
    if listed != sum(accounts.values()) or min(accounts.values(), default=0) < 0:
        yield f"recordings: {sum(accounts.values())} are accounted for, {listed} are listed"


def _vocabulary(header: Header) -> Iterator[str]:
    for name, values in header.attributes.items():
        if values != sorted(set(values)) or not values:
            yield f"attributes.{name}: its values are not sorted, or stand twice"
    if list(header.attributes) != sorted(header.attributes):
        yield "attributes: not sorted"
    for name in header.nuisances:
        if name not in header.attributes:
            yield f"nuisances: {name} is none of the attributes"
