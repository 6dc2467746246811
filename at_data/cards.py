"""The card, the summary and the picture of a finished dataset."""

import json
import warnings
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from at_data.errors import ShardError, printable
from at_data.headers import Header
from at_data.shards import Dataset
from at_data.stages.leaks import Line

EXAMPLES = 3  # spectrograms drawn per class
CLASSES = 12  # classes drawn at most
COLUMNS = 30  # classes counted on the card at most
CELL = 60  # characters of a value shown in a table
_PROOF = TypeAdapter(list[Line])


CARD = """\
---
pretty_name: {header.name}
task_categories: [audio-classification]
license_name: {licence}
---
# {header.name}

`{header.target}` from recordings of the corpus `{header.manifest[corpus]}`. Digest `{header.digest}`.

- Source: {header.source}
- Licence of the recordings: {header.licence}
- Please cite: {header.citation}

## Items

{counts}

Each item is {header.frames} frames x {header.bins} bins of STFT magnitude, rows in time order, stored as
{header.dtype}: (x - {header.scaling.mean!r}) / {header.scaling.std!r}, both measured on the training split.
{padding}
Attributes, each a column of every shard: {attributes}.
Nuisances named by the manifest: {nuisances}.

## Split

`{split}`, seed {header.manifest[seed]}. What the splits share:

{proof}
{bias}
## Left out

{left_out}

Each one stands in `quarantine.jsonl` with its reason.

## Duplicates

{duplicates}
{noise}
## Made with

```json
{made_with}
```
"""

UNSTORED = """\
Frames of zeros before and after the sound of an item are not stored: `start`, `first` and `length` say where it lies.
"""


def card(header: Header, proof: Iterable[Line]) -> str:
    """Dataset card in Markdown: what it is, where it comes from, how it was made, what it promises."""
    lines = [(" / ".join(line.splits), line.key, line.shared, line.told) for line in proof]
    noise = [f"- {name}: {value:.6g}" for name, value in (header.noise or {}).items()]
    return CARD.format(
        header=header,
        licence=json.dumps(header.licence),
        counts=_markdown(("split", "items", "hours", *header.classes[:COLUMNS]), _count_rows(header, COLUMNS)),
        attributes=", ".join(f"`{name}` ({len(values)} values)" for name, values in header.attributes.items()),
        nuisances=", ".join(f"`{name}`" for name in header.nuisances) or "none",
        padding=UNSTORED if header.padding == "implicit" else "",
        split=json.dumps(header.manifest["split"]),
        proof=_markdown(("splits", "key", "shared", "verdict"), lines),
        bias=_bias_section(header),
        left_out="\n".join(f"- {kind}: {count}" for kind, count in header.left_out.items()) or "Nothing.",
        duplicates=duplicates(header),
        noise="\n".join(["", "## Noise, as measured in the items", "", *noise, ""]) if noise else "",
        made_with=json.dumps({"manifest": header.manifest, "versions": header.versions}, indent=1),
    )


def duplicates(header: Header) -> str:
    """What the source holds several times, in a sentence."""
    found = header.duplicates
    if not found["waveforms"]:
        return "No waveform occurs in two files."
    return (
        f"{found['waveforms']} waveforms occur in {found['recordings']} files, {found['with_several_labels']} of them "
        f"under several values of {header.target} (see duplicates.csv)."
    )


def bias(header: Header) -> str:
    """What was tied together on purpose, in a sentence or two."""
    found, manifest = header.bias, header.manifest
    assert found is not None, "only of a dataset with a bias"
    tied = f"{found.nuisance} predicts {found.target}"
    if manifest["bias"] == "none":
        part, rule = manifest["subset"]["part"], json.dumps(manifest["subset"]["bias"])
        return f"{tied} in the dataset that these recordings are the {part} split of ({rule})."
    rule, unused = manifest["bias"], ", ".join(f"{count} of {split}" for split, count in found.unused.items())
    return (
        f"{tied}, on purpose: each {found.nuisance} of train and valid favours {rule['favoured']} values of "
        f"{found.target}, {rule['strength']:.4g} of its recordings are of those. What train leaves of the others is "
        f"test_conflicting; test is whole. Recordings in no split any more: {unused}."
    )


_BIAS_TITLES = ("split", "mutual information (bits)", "Cramer's V", "share of favoured")


def _bias_rows(header: Header) -> list[Sequence[object]]:
    measured = header.bias.splits if header.bias else {}
    return [
        (
            split,
            f"{found['mutual_information_bits']:.3f}",
            f"{found['cramers_v']:.3f}",
            f"{found['favoured_share']:.3f}" if "favoured_share" in found else "-",
        )
        for split, found in measured.items()
        if header.counts[split]
    ]


def _bias_section(header: Header) -> str:
    if header.bias is None:
        return ""
    return f"\n## Bias, as measured in the items\n\n{bias(header)}\n\n{_markdown(_BIAS_TITLES, _bias_rows(header))}\n"


def summary(header: Header, proof: Sequence[Line]) -> str:
    """Header, counts, hours, class balance and proof as text for a terminal."""
    rows: list[Sequence[object]] = [("split", "items", "hours", *header.classes), *_count_rows(header, None)]
    scaling, attributes = header.scaling, header.attributes
    lines = [
        f"{header.name}-{header.digest[:8]}: {header.target} from {header.manifest['corpus']}",
        f"items: {header.frames} frames x {header.bins} bins, {header.dtype}, padding {header.padding}",
        f"scaling: mean {scaling.mean:.6g}, standard deviation {scaling.std:.6g}, measured on train",
        f"attributes: {', '.join(f'{name} ({len(values)})' for name, values in attributes.items())}",
        f"nuisances: {', '.join(header.nuisances) or 'none'}",
        f"left out: {', '.join(f'{count} {kind}' for kind, count in header.left_out.items()) or 'nothing'}",
        f"duplicates: {duplicates(header)}",
        "",
        *aligned(list(zip(*rows, strict=True))),
        "",
        *aligned(
            [("splits", "key", "shared", "verdict")]
            + [(" / ".join(line.splits), line.key, str(line.shared), line.told) for line in proof]
        ),
        *(["", bias(header), "", *aligned([_BIAS_TITLES, *_bias_rows(header)])] if header.bias else ()),
    ]
    return printable("\n".join(lines), "\n")


def read_proof(folder: Path) -> list[Line]:
    """Lines of `leaks.json`."""
    path = folder / "leaks.json"
    try:
        return _PROOF.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        came = f"cannot be read ({' '.join(str(error).split())[:300]})"
        raise ShardError(path, came, "a proof as a build writes it", "build the dataset again") from error


def aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows as text columns: the first left, the others right."""
    table = [list(map(_cell, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def picture(dataset: Dataset, path: Path) -> None:
    """PNG with example spectrograms of twelve classes at most: magnitudes in dB, where 0 dB is 1, from -90 to -10.

    ShardError where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import, needed here only
    from matplotlib.figure import Figure  # noqa: PLC0415

    header = dataset.header
    reader = dataset.split(dataset.splits[0])
    codes = reader.codes(header.target)
    classes = [code for code in range(len(header.classes)) if (codes == code).any()][:CLASSES]
    figure = Figure(figsize=(2.1 * len(classes) + 1, 2.2 * EXAMPLES + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(EXAMPLES, len(classes), squeeze=False, sharex=True, sharey=True)
    stft, rate = header.manifest["stft"], header.manifest["audio"]["sample_rate_hz"]
    extent = (0.0, (header.frames - 1) * stft["hop_s"], 0.0, rate / 2000)
    image = None
    for column, code in enumerate(classes):
        rows = np.flatnonzero(codes == code)[:EXAMPLES].astype(np.int64)
        for axis, values in zip(axes[:, column], reader.read(rows), strict=False):
            magnitude = values.astype(np.float64) * header.scaling.std + header.scaling.mean
            level_db = 20 * np.log10(np.maximum(magnitude, 1e-5))
            image = axis.imshow(
                level_db.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-90, vmax=-10
            )
        axes[0, column].set_title(_cell(header.classes[code]), fontsize=10, parse_math=False)  # it may be called $x$
        axes[-1, column].set_xlabel("time (s)")
    for row in range(EXAMPLES):
        axes[row, 0].set_ylabel("frequency (kHz)")
    if image is not None:
        figure.colorbar(image, ax=axes, label="magnitude (dB)", shrink=0.8)
    figure.suptitle(f"{header.name}: {header.target}, {reader.name} split", parse_math=False)
    drawn = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script that the font lacks is drawn as boxes
        figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    try:
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        came = f"cannot be written ({(error.strerror or str(error)).lower()})"
        raise ShardError(path, came, "a folder that is there, with room in it", "make it, or name another") from error


def _count_rows(header: Header, classes: int | None) -> list[Sequence[object]]:
    """Items, hours and items of the first so many classes, for every split."""
    return [
        (
            split,
            count,
            f"{header.hours[split]:.2f}",
            *(header.class_counts[split].get(name, 0) for name in header.classes[:classes]),
        )
        for split, count in header.counts.items()
    ]


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    marks = str.maketrans({"|": r"\|", "\\": r"\\"})
    lines = [[_cell(value).translate(marks) for value in line] for line in (titles, ["---"] * len(titles), *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    """What a table shows of a value, which may be a stranger's: some printable signs on one line."""
    text = printable(str(value)[: CELL + 1])
    return text if len(text) <= CELL else f"{text[: CELL - 3]}..."
