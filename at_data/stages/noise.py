"""Noise for a segment: drawn (dice), mixed in (deed), and what came out, measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from at_data.errors import AudioError
from at_data.recordings import Recording, Segment, samples_in

SETTINGS = ConfigDict(frozen=True, strict=True, extra="forbid")

# Beyond these no sound lies, and single precision is left room on both sides.
LOWEST_DB, HIGHEST_DB = -200.0, 100.0

# -100 dBFS, a third of the last bit of 16: what is below is digital silence or its dither, and has no level to set.
SILENCE_RMS = 1e-5


Decibels = Annotated[float, Field(ge=LOWEST_DB, le=HIGHEST_DB, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]


class OneOf(BaseModel):
    """Values in dB, each as likely as the others."""

    model_config = SETTINGS

    # YAML has lists only; the values inside stay strict.
    one_of: Annotated[tuple[Decibels, ...], Field(min_length=1, strict=False)]


class EachOf(BaseModel):
    """Values in dB, every one of them: a segment becomes one item at each, with the same stretch of noise."""

    model_config = SETTINGS

    each_of: Annotated[tuple[Decibels, ...], Field(min_length=1, strict=False)]


Interval = Annotated[tuple[Decibels, Decibels], Field(strict=False)]


def _span_branch(value: object) -> str | None:
    if isinstance(value, EachOf) or (isinstance(value, dict) and "each_of" in value):
        return "<each_of>"
    if isinstance(value, (dict, OneOf)):
        return "<one_of>"
    return "<interval>" if isinstance(value, (list, tuple)) else None


Span = Annotated[
    Annotated[Interval, Tag("<interval>")] | Annotated[OneOf, Tag("<one_of>")] | Annotated[EachOf, Tag("<each_of>")],
    Discriminator(
        _span_branch,
        custom_error_type="no_branch",
        custom_error_message="expected an interval [lowest, highest] in dB, {one_of: [...]} or {each_of: [...]}",
    ),
]


def _level_branch(value: object) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "<number>"
    return "<leave>" if value == "leave" else None


SpeechLevel = Annotated[
    Annotated[Decibels, Tag("<number>")] | Annotated[Literal["leave"], Tag("<leave>")],
    Discriminator(
        _level_branch, custom_error_type="no_branch", custom_error_message="expected a number of dBFS or 'leave'"
    ),
]


class Shares(BaseModel):
    """Shares of the noise files of each type that go to each split."""

    model_config = SETTINGS

    train: Share
    valid: Share
    test: Share

    @model_validator(mode="after")
    def _make_a_whole(self) -> "Shares":
        total = self.train + self.valid + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + valid + test is {total:g}, expected 1")
        return self


class Mix(BaseModel):
    """Which noise is mixed in, how loud, from where, and what is done when the mixture leaves full scale.

    `keep` lists the attribute values of the noise corpus that are used; empty for all. The level of the noise is
    either its own (`level_dbfs`) or relative to the speech (`snr_db`): an interval `[lo, hi]` in which every dB is
    equally likely, `{one_of: [...]}`, or `{each_of: [...]}`. `speech_level_dbfs` is the level speech is brought to, or
    `leave`.

    Levels are dBFS RMS: 20 log10(rms), with full scale 1. A full-scale square is at 0 dBFS, a full-scale sine at
    -3.01. The speech is measured where the segment holds it, not over its padding; the noise over the segment.

    `clipping`: `none` leaves samples beyond +-1 as they are (they are floats), `scale` turns such a mixture down to a
    peak of 1, `reject` refuses it.
    """

    model_config = SETTINGS

    corpus: str = Field(min_length=1)
    keep: Annotated[dict[str, list[str]], AfterValidator(lambda free: dict(sorted(free.items())))]
    speech_level_dbfs: SpeechLevel
    level_dbfs: Span | None = None
    snr_db: Span | None = None
    offset: Literal["random", "start"]
    crossfade_s: float = Field(ge=0, allow_inf_nan=False)
    clipping: Literal["none", "scale", "reject"]
    split: Shares

    @model_validator(mode="after")
    def _every_level_once(self) -> "Mix":
        span = self.level_dbfs if self.snr_db is None else self.snr_db
        if isinstance(span, EachOf) and len(set(span.each_of)) < len(span.each_of):
            raise ValueError("each_of: a level stands twice, expected each once")
        return self

    @model_validator(mode="after")
    def _one_kind_of_level(self) -> "Mix":
        given = [key for key in ("level_dbfs", "snr_db") if getattr(self, key) is not None]
        if len(given) != 1:
            came = "both level_dbfs and snr_db are given" if given else "neither level_dbfs nor snr_db is given"
            raise ValueError(
                f"{came}, expected exactly one: the noise's own level, or the level of the speech above it"
            )
        span = self.level_dbfs if self.snr_db is None else self.snr_db
        if isinstance(span, tuple) and span[0] > span[1]:
            raise ValueError(f"{given[0]} is [{span[0]:g}, {span[1]:g}], expected the lower bound first")
        return self


class Task(Mix):
    """Noise that is what the task asks for: the attribute `label` of the noise becomes the recording's.

    `hours` of mixtures are made, all their levels counted: every split has as many of each label, speech and noise
    files drawn among its own. The manifest's `split` divides the speech.
    """

    label: str = Field(min_length=1)
    hours: float = Field(gt=0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Placement:
    """What the dice said for one segment: the noise, where in it (0 its start, 1 its end), and one of two levels."""

    noise: Recording
    position: float
    level_dbfs: float | None = None
    snr_db: float | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of noise as long as the segment, and where in its file it starts."""

    samples: Float32[np.ndarray, "time"]
    offset_s: float


@dataclass(frozen=True, slots=True)
class Mixing:
    """What was asked of one mixture and what came out; NaN for the level that was not asked for.

    Achieved levels and the peak are of the mixture as it is returned. `speech_gain_db` and `noise_gain_db` were
    applied first, then `clip_gain_db` to both (0 but for the policy `scale`). `clipped` counts the samples beyond
    +-1 before that. Silence is at minus infinity.
    """

    noise: str
    noise_offset_s: float
    level_requested_dbfs: float
    level_achieved_dbfs: float
    snr_requested_db: float
    snr_achieved_db: float
    speech_level_dbfs: float
    speech_gain_db: float
    noise_gain_db: float
    peak: float
    clip_gain_db: float
    clipped: int


def draw(generator: np.random.Generator, mix: Mix, noises: Sequence[Recording]) -> Placement:
    """Noise, place and level for one segment; every noise recording is as likely as any other.

    Three numbers are taken from the generator whatever the settings, so that a change of one moves no other draw.
    Called again with the same generator it draws anew: for when the excerpt of the first draw is `silent`.
    """
    which, position, share = generator.random(3).tolist()
    span = _span(mix)
    if isinstance(span, EachOf):
        level = span.each_of[0]
    else:
        level = span.one_of[int(share * len(span.one_of))] if isinstance(span, OneOf) else _between(*span, share)
    return _at(Placement(noises[int(which * len(noises))], position if mix.offset == "random" else 0.0), mix, level)


def at_levels(placement: Placement, mix: Mix) -> list[Placement]:
    """The placement as it was drawn, or once at each level where the manifest wants them all."""
    span = _span(mix)
    return [_at(placement, mix, level) for level in span.each_of] if isinstance(span, EachOf) else [placement]


def levels(mix: Mix) -> int:
    """Items that one segment becomes: as many as there are levels where the manifest wants them all, else one."""
    span = _span(mix)
    return len(span.each_of) if isinstance(span, EachOf) else 1


def excerpt(
    noise: Float32[np.ndarray, "whole"], placement: Placement, mix: Mix, length: int, sample_rate_hz: int
) -> Excerpt:
    """Stretch of a whole noise recording, `length` samples long, from the place that was drawn.

    Every place where the stretch fits is equally likely. A recording too short for it is looped, and starts anywhere
    in the loop; it is never continued by another.
    """
    if noise.size >= length:
        start = int(placement.position * (noise.size - length + 1))
        return Excerpt(noise[start : start + length], start / sample_rate_hz)
    body = _loop(noise, samples_in(mix.crossfade_s, sample_rate_hz))
    start = int(placement.position * body.size)
    return Excerpt(np.resize(np.roll(body, -start), length), start / sample_rate_hz)


def silent(excerpt: Excerpt) -> bool:
    """Whether an excerpt holds nothing whose level could be set: draw another."""
    return _rms(excerpt.samples) < SILENCE_RMS


def mix(segment: Segment, excerpt: Excerpt, placement: Placement, mix: Mix) -> Segment:
    """Segment with the excerpt mixed in at the level that was drawn, same length, and its `Mixing`.

    Samples stay in single precision; levels are measured in double.

    Raises
    ------
    AudioError
        The excerpt is silent; the speech is, where its own level or an SNR is asked for; the mixture leaves full
        scale under the policy `reject`.

    """
    first, last = segment.content
    speech_rms, noise_rms = _rms(segment.samples[first:last]), _rms(excerpt.samples)
    _refuse_silence(segment, placement, mix, speech_rms, noise_rms)
    speech_gain = 1.0 if mix.speech_level_dbfs == "leave" else _ratio(mix.speech_level_dbfs) / speech_rms
    if placement.level_dbfs is not None:
        noise_gain = _ratio(placement.level_dbfs) / noise_rms
    else:
        assert placement.snr_db is not None, "a placement holds exactly one of the two"
        noise_gain = speech_rms * speech_gain / _ratio(placement.snr_db) / noise_rms
    speech = segment.samples if speech_gain == 1.0 else segment.samples * np.float32(speech_gain)
    noise = excerpt.samples * np.float32(noise_gain)
    mixture, peak, clipped = _clip(speech + noise, segment, mix)
    # Measured on what was added up, so that a table row never repeats a wish.
    clip_db = _decibels(1 / peak) if clipped and mix.clipping == "scale" else 0.0
    speech_dbfs, noise_dbfs = _decibels(_rms(speech[first:last])) + clip_db, _decibels(_rms(noise)) + clip_db
    mixing = Mixing(
        noise=placement.noise.id,
        noise_offset_s=excerpt.offset_s,
        level_requested_dbfs=math.nan if placement.level_dbfs is None else placement.level_dbfs,
        level_achieved_dbfs=noise_dbfs,
        snr_requested_db=math.nan if placement.snr_db is None else placement.snr_db,
        snr_achieved_db=speech_dbfs - noise_dbfs,
        speech_level_dbfs=speech_dbfs,
        speech_gain_db=_decibels(speech_gain),
        noise_gain_db=_decibels(noise_gain),
        peak=1.0 if clip_db else peak,
        clip_gain_db=clip_db,
        clipped=clipped,
    )
    return replace(segment, samples=mixture, mixing=mixing)


def _span(mix: Mix) -> tuple[float, float] | OneOf | EachOf:
    span = mix.level_dbfs if mix.snr_db is None else mix.snr_db
    assert span is not None, "Mix holds exactly one of the two"
    return span


def _at(placement: Placement, mix: Mix, level: float) -> Placement:
    if mix.snr_db is None:
        return replace(placement, level_dbfs=level)
    return replace(placement, snr_db=level)


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


def _loop(noise: Float32[np.ndarray, "whole"], crossfade: int) -> Float32[np.ndarray, "loop"]:
    """One turn of an endless loop: the end of the noise fades into its beginning.

    The fades are a sine and a cosine, which keep the power of sounds that are not alike, as two ends of a noise are
    not. They take at most half of the noise, and its length less theirs is one turn.
    """
    crossfade = min(crossfade, noise.size // 2)
    turn = noise.size - crossfade
    body = noise[:turn].copy()
    phase = (np.pi / 2) * (np.arange(crossfade) + 0.5) / max(1, crossfade)
    body[:crossfade] = noise[:crossfade] * np.sin(phase) + noise[turn:] * np.cos(phase)
    return body


def _clip(
    mixture: Float32[np.ndarray, "time"], segment: Segment, mix: Mix
) -> tuple[Float32[np.ndarray, "time"], float, int]:
    """Mixture after the clipping policy; its peak and the number of samples beyond full scale before it."""
    peak = max(float(mixture.max()), -float(mixture.min()))
    if peak <= 1.0:
        return mixture, peak, 0
    clipped = int(np.count_nonzero(np.abs(mixture) > 1.0))
    if mix.clipping == "reject":
        came = f"{clipped} samples of the mixture beyond full scale, the highest at {peak:.3f}"
        todo = "lower noise.speech_level_dbfs or the noise, or choose another noise.clipping"
        raise AudioError(segment.id, came, "a mixture within +-1 (noise.clipping is reject)", todo)
    if mix.clipping == "scale":
        mixture /= np.float32(peak)
    return mixture, peak, clipped


def _refuse_silence(segment: Segment, placement: Placement, mix: Mix, speech_rms: float, noise_rms: float) -> None:
    expected = f"at least {SILENCE_RMS:g} (-100 dBFS)"
    if noise_rms < SILENCE_RMS:
        came = f"a silent stretch of noise {placement.noise.id} (rms {noise_rms:g})"
        raise AudioError(segment.id, came, expected, "draw another stretch, or leave this noise out")
    if speech_rms < SILENCE_RMS and (mix.speech_level_dbfs != "leave" or placement.snr_db is not None):
        came = f"silent speech (rms {speech_rms:g}), whose level is to be set"
        raise AudioError(segment.id, came, expected, "leave the recording out, or ask for level_dbfs and leave")


def _rms(samples: Float32[np.ndarray, "time"]) -> float:
    # numpy's own sum, not BLAS: its order of additions, and so the bytes of a dataset, is the same on every processor.
    return math.sqrt(float(np.add.reduce(np.square(samples, dtype=np.float64))) / samples.size)


def _decibels(ratio: float) -> float:
    return 20 * math.log10(ratio) if ratio else -math.inf


def _ratio(decibels: float) -> float:
    return float(10 ** (decibels / 20))
