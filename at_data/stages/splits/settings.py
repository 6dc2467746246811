"""What a manifest may say of its split."""

from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from at_data.stages.splits import listing

Share = Annotated[float, Field(ge=0, le=1)]
SmallShare = Annotated[float, Field(ge=0, lt=1)]


@runtime_checkable
class _Info(Protocol):
    """What a validator is told: where the manifest lies, and the keys before its own."""

    @property
    def context(self) -> dict[str, Any] | None: ...

    @property
    def data(self) -> dict[str, Any]: ...


def _one_or_several(value: object) -> str | None:
    return "<one>" if isinstance(value, str) else "<several>" if isinstance(value, (list, tuple)) else None


def _each_once(by: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if not isinstance(by, str) and len(set(by)) < len(by):
        raise ValueError("an attribute stands twice, expected each once")
    return by


By = Annotated[
    Annotated[str, Field(min_length=1), Tag("<one>")]
    | Annotated[tuple[str, ...], Field(min_length=1), Tag("<several>")],
    Discriminator(
        _one_or_several,
        custom_error_type="no_branch",
        custom_error_message="expected 'random', 'published', 'file', an attribute, or a list of attributes",
    ),
]


class Fractions(BaseModel):
    """Shares of the recordings; `by` is "random", or the attributes whose values stay whole.

    With several attributes, recordings that share a value of any of them stay together, however long the chain.
    `balanced` meets the shares as well as whole groups allow, and brings every class into every split. `stable` draws
    each group's split from seed and group alone, so that a corpus that grows moves nothing it had.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: By
    method: Literal["balanced", "stable"]
    train: Annotated[float, Field(gt=0, le=1)]
    valid: Share
    test: Share

    @field_validator("by")
    @classmethod
    def _name_each_once(cls, by: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return _each_once(by)

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Fractions":
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-9:  # noqa: PLR2004 - rounding of decimal fractions
            raise ValueError(f"train + valid + test is {total:g}, expected 1")
        return self


class Folds(BaseModel):
    """One of several divisions in which every group is tested on once: fold `i/k` tests on the i-th of k folds.

    `i/groups` leaves one group out, the i-th in sorted order. `valid` is a share of what is left, or the fold that
    comes next. `missing_classes` is for classes that a test or valid part lacks; train has every class, always.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: By
    fold: str
    method: Literal["balanced", "stable"]
    valid: Annotated[
        Annotated[SmallShare, Tag("<share>")] | Annotated[Literal["next_fold"], Tag("<next>")],
        Discriminator(
            lambda value: "<next>" if isinstance(value, str) else "<share>",
            custom_error_type="no_branch",
            custom_error_message="expected a share or 'next_fold'",
        ),
    ]
    missing_classes: Literal["fail", "allow"]

    @field_validator("by")
    @classmethod
    def _name_each_once(cls, by: str | tuple[str, ...]) -> str | tuple[str, ...]:
        return _each_once(by)

    @field_validator("fold")
    @classmethod
    def _is_one_of_several(cls, fold: str) -> str:
        number, _, folds = fold.partition("/")
        counted = folds == "groups" or (_is_count(folds) and int(folds) >= 2)  # noqa: PLR2004 - two make a division
        if not (_is_count(number) and counted and (folds == "groups" or int(number) <= int(folds))):
            raise ValueError("expected i/k with i from 1 to k and k from 2, or i/groups")
        return fold

    @model_validator(mode="after")
    def _leave_something_to_train(self) -> "Folds":
        if self.folds == 2 and self.valid == "next_fold":  # noqa: PLR2004 - one tests, one validates
            raise ValueError("one of 2 folds tests and next_fold validates, expected 3 folds or a share for valid")
        if self.folds is None and self.method == "stable":
            raise ValueError(
                "method is stable and groups are counted in sorted order, so a new one moves the others; expected "
                "method: balanced, or stable folds i/k"
            )
        return self

    @property
    def number(self) -> int:
        """Which fold tests, from 1."""
        return int(self.fold.partition("/")[0])

    @property
    def folds(self) -> int | None:
        """How many folds there are; None for as many as groups."""
        folds = self.fold.partition("/")[2]
        return None if folds == "groups" else int(folds)


def _is_count(text: str) -> bool:
    """Whether a text is a whole number from 1 as a person writes it, and no larger than any corpus."""
    return text.isascii() and text.isdecimal() and text[0] != "0" and len(text) < 10  # noqa: PLR2004


class Published(BaseModel):
    """The split the corpus publishes; where it has no valid part, that share of train, drawn at random.

    `missing_classes` is for classes that train has and the published valid or test part lacks: `fail`, or `allow`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: Literal["published"]
    valid_from_train: SmallShare
    missing_classes: Literal["fail", "allow"]


class Imported(BaseModel):
    """Somebody else's partition, as a CSV file lists it.

    `file` is relative to the manifest's own file; where it lies and what it is called does not count in a digest, for
    `sha256` says what is in it. `not_listed` is for recordings that the file does not name, `absent` for ids that no
    recording has, `missing_classes` for classes that train has and a part of the file lacks.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    by: Literal["file"]
    file: Annotated[str, Field(min_length=1)]
    # no default that anybody can build with: an absent hash is refused like a wrong one, and told the right one
    sha256: Annotated[str, Field(validate_default=True)] = ""
    not_listed: Literal["drop", "fail"]
    absent: Literal["fail", "allow"]
    missing_classes: Literal["fail", "allow"]

    @field_validator("file")
    @classmethod
    def _beside_the_manifest(cls, file: str, info: _Info) -> str:
        folder = (info.context or {}).get("folder")
        return file if folder is None else str(Path(folder) / file)

    @field_serializer("file")
    def _by_its_name(self, file: str) -> str:
        return PurePath(file).name

    @field_validator("sha256")
    @classmethod
    def _is_a_hash(cls, sha256: str, info: _Info) -> str:
        if len(sha256) == 64 and set(sha256) <= set("0123456789abcdef"):  # noqa: PLR2004 - hexadecimal digits
            return sha256
        # a file of which nothing is known is opened only where somebody's own manifest lies beside it
        known = listing.found(Path(info.data["file"])) if info.context and "file" in info.data else None
        raise ValueError("expected the SHA-256 of the file, 64 hexadecimal digits" + (f": {known}" if known else ""))


def _branch(value: object) -> str | None:
    """Which of them a value means, so that only that one says what is wrong; None where it does not say."""
    by = value.get("by") if isinstance(value, dict) else getattr(value, "by", None)
    if by is None or isinstance(by, dict):
        return None
    if by in ("published", "file"):
        return f"<{by}>"
    return "<fold>" if isinstance(value, Folds) or (isinstance(value, dict) and "fold" in value) else "<fractions>"


Split = Annotated[
    Annotated[Published, Tag("<published>")]
    | Annotated[Imported, Tag("<file>")]
    | Annotated[Folds, Tag("<fold>")]
    | Annotated[Fractions, Tag("<fractions>")],
    Discriminator(
        _branch,
        custom_error_type="no_branch",
        custom_error_message=(
            "expected a mapping of by, method, train, valid, test; of by, fold, method, valid, missing_classes; of "
            "by: published, valid_from_train, missing_classes; or of by: file, file, sha256, not_listed, absent, "
            "missing_classes"
        ),
        custom_error_context={"key": "by"},
    ),
]


def kept_whole(split: Split) -> tuple[str, ...]:
    """Attributes whose values the split promises not to tear apart."""
    if isinstance(split, (Published, Imported)) or split.by == "random":
        return ()
    return (split.by,) if isinstance(split.by, str) else split.by
