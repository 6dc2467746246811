"""What a dataset says of itself: `dataset.json`, written, read, refused."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from at_data.errors import ShardError
from at_data.files import write_whole

MOST_BYTES = 1 << 28  # of `dataset.json`
MOST_FRAMES, MOST_BINS = 1 << 24, 1 << 20  # of an item
MOST_VALUES = 1 << 28  # of an item: 1 GiB of float32
FORMAT = 1  # of the folder; a reader refuses what it does not know
UNCOUNTED = {"content", "versions", "licence", "source", "citation"}


class Shard(BaseModel):
    """One shard file, as the header lists it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: Annotated[str, Field(pattern=r"^shards/\w[\w.-]*$")]
    split: Literal["train", "valid", "test", "test_conflicting"]
    items: Annotated[int, Field(ge=0, lt=2**40)]
    sha256: str


class MeasuredScale(BaseModel):
    """What was subtracted from every value, and what it was then divided by."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    mean: FiniteFloat
    std: FiniteFloat


class MeasuredBias(BaseModel):
    """How closely target and nuisance hang together in the items of each split.

    `splits` holds `mutual_information_bits`, `cramers_v` and, where the bias was drawn, `favoured_share`. `favoured`
    says which classes each value favours and `unused` how many recordings the bias leaves over, both by split; they
    are empty where the bias is that of another dataset, which this one is a subset of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    target: str
    nuisance: str
    favoured: dict[str, dict[str, list[str]]]
    unused: dict[str, int]
    splits: dict[str, dict[str, float]]


class Header(BaseModel):
    """What a dataset says of itself in `dataset.json`; it travels into checkpoints and runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int
    name: str
    digest: str
    content: str
    listing: str
    manifest: dict[str, Any]
    licence: str
    source: str
    citation: str
    target: str
    nuisances: list[str]
    attributes: dict[str, list[str]]
    frames: Annotated[int, Field(gt=0, le=MOST_FRAMES)]
    bins: Annotated[int, Field(gt=0, le=MOST_BINS)]
    dtype: Literal["float16", "float32"]
    compression: Literal["none", "zstd", "lz4"]
    padding: Literal["stored", "implicit"]
    scaling: MeasuredScale
    counts: dict[str, int]
    class_counts: dict[str, dict[str, int]]
    hours: dict[str, float]
    recordings: dict[str, int]
    left_out: dict[str, int]
    duplicates: dict[str, int]
    noise: dict[str, float | int] | None
    bias: MeasuredBias | None
    shards: list[Shard]
    files: dict[Annotated[str, Field(pattern=r"^\w[\w.-]*$")], str]
    versions: dict[str, str]

    @model_validator(mode="after")
    def _target_is_an_attribute(self) -> "Header":
        if self.target not in self.attributes:
            raise ValueError(f"target: '{self.target}' is none of the attributes")
        if self.frames * self.bins > MOST_VALUES:
            raise ValueError(f"frames, bins: items of more than {MOST_VALUES:,} values")
        return self

    @property
    def classes(self) -> list[str]:
        """Values of the target, in the order of their codes."""
        return self.attributes[self.target]


def content(header: Header) -> str:
    """SHA-256 of all the header says of the data, the hashes of every file among it: the identity of the very data.

    Two sources built with one manifest share a digest and differ in this. Versions and what is said of the source do
    not count.
    """
    facts = header.model_dump(mode="json", exclude=UNCOUNTED)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write(folder: Path, header: Header) -> None:
    """`dataset.json` in a dataset folder, whole or not at all."""
    write_whole(folder / "dataset.json", header.model_dump_json(indent=1) + "\n")


def read(folder: Path) -> Header:
    """Header of a dataset folder; ShardError when the folder is no dataset or of another format."""
    path = folder / "dataset.json"
    if not path.is_file():
        raise ShardError(
            folder, "no dataset.json in it", "a finished dataset folder", "build one with `at-prepare build`"
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ShardError(path, f"more than {MOST_BYTES:,} bytes", "a header", "build the dataset again")
        header = Header.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ShardError(path, f"cannot be read ({error.strerror})", "a readable file", "restore it") from error
    except ValidationError as error:
        detail = error.errors()[0]
        raise ShardError(
            path,
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}",
            f"a header of format {FORMAT}",
            "build the dataset again",
        ) from error
    if header.format != FORMAT:
        raise ShardError(
            path,
            f"format {header.format}",
            f"format {FORMAT}",
            "build the dataset again, or use the release that wrote it",
        )
    return header
