"""Runs -> one HTML page that opens from disk, its pictures and its tables."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from at_data.errors import ConfigError
from at_train.report import figures, groups, tables
from at_train.report.groups import Section
from at_train.results import Run, replace

OPENED = 25  # rows up to which a table of groups is shown unfolded
MARK = "at-train-report-files"  # names in a page the files that were written with it
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #ffffff; --soft: #5b6168; --line: #d9dde1; --wash: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e8; --paper: #16181b; --soft: #a0a7ae; --line: #363b40; --wash: #1f2327; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h2, summary, code { overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; } th:first-child { text-align: left; }
tbody th { font-weight: 400; } td.worst { font-weight: 600; } tbody tr:hover { background: var(--wash); }
figure { margin: 1rem 0 2rem; } figcaption { margin-top: .5rem; }
figcaption, .note { color: var(--soft); font-size: .875rem; max-width: 46rem; }
img { display: block; max-width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 0 1.5rem; }
details { margin: .4rem 0; } summary { cursor: pointer; } code { font-size: .85em; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
"""
CURVES = (
    "Loss by epoch on the training and the validation split. Thin lines are seeds, the thick line is their mean as far "
    "as every seed went; a dot marks the epoch whose weights are scored. A task loss that falls in train and rises "
    "in valid is overfitting; the anti-transfer loss is drawn for the runs that have one."
)
DOTS = (
    "Left: test accuracy; grey dots are seeds, the diamond is their mean, the bar its 95 % interval; in brackets the "
    "number of seeds. Right, where runs of strategy none share seeds: what a setting gained or lost against them; "
    "an interval that leaves zero out is a difference beyond what seeds explain."
)
VALUES = (
    "Test accuracy on the items of each value. A ring marks the worst value of each setting. The wider the dots of one "
    "setting lie apart, the more it depends on {name}."
)
LOWEST = " Of {all} values, the {shown} with the lowest accuracies are drawn; the table has all."
CONFUSION = "Rows are true classes: the share of a class's test items that was taken for each class, over all seeds."
NOTES = (
    (
        "Intervals are 95 % t-intervals of the mean over seeds: they tell how much training varies, not what another "
        "choice of test items would change. A single seed has no interval, shown as -. Intervals are not widened for "
        "the number of settings compared."
    ),
    (
        "Differences are paired: each run less the run of strategy none that has the same seed, the same data and "
        "otherwise equal settings; their interval is that of a paired t-test."
    ),
    (
        "Worst is the lowest accuracy over the values of an attribute within a run, averaged over seeds. A value with "
        "few items is easily the worst by chance."
    ),
)
SELECTION = {
    "best": "the epoch with the lowest validation task loss",
    "last": "the last epoch",
}


@dataclass(frozen=True)
class Picture:
    """One PNG of the page: its file, what it shows in a few words, how to read it."""

    name: str
    title: str
    caption: str
    png: bytes


def write(runs: Sequence[Run], out: Path) -> Path:
    """The page that compares these runs, written into `out` with its pictures and tables.

    An earlier report in `out` is replaced, other files are left alone; the page is put in place after what it names.
    ConfigError when there are no runs or `out` is something else.
    """
    if not runs:
        raise ConfigError("report", "no run folders", "one or several", "name folders that `at-train fit` wrote")
    earlier = _earlier(out)
    sections = groups.sections(runs)
    pictures = [list(_pictures(number, section)) for number, section in enumerate(sections, start=1)]
    files = _tables(sections) | {picture.name: picture.png for some in pictures for picture in some}
    for name, content in files.items():
        replace(out / name, content)
    replace(out / "index.html", _page(runs, sections, pictures, sorted(files)).encode())
    for name in earlier - files.keys():
        (out / name).unlink(missing_ok=True)
    return out / "index.html"


def _earlier(out: Path) -> set[str]:
    """Files of the report that lies in `out`; ConfigError if something else is in the way."""
    page = out / "index.html"
    if (out.exists() and not out.is_dir()) or (out / "run.json").exists():
        came = "is a run folder" if out.is_dir() else "is a file"
        raise ConfigError(out, came, "a folder for the report", "choose another --out")
    if not page.exists():
        return set()
    found = re.search(rf'<meta name="{MARK}" content="([^"]*)">', page.read_text(encoding="utf-8", errors="replace"))
    if not found:
        raise ConfigError(page, "is no report", "a new folder or an earlier report", "choose another --out")
    return {name for name in found[1].split() if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)}


def _tables(sections: Sequence[Section]) -> dict[str, bytes]:
    rows = [row for section in sections for row in tables.comparison(section)]
    values = [(section, tables.values(section, name)) for section in sections for name in section.nuisances]
    shown = [(at, tables.comparison_shown(tables.comparison(at))) for at in sections]
    markdown = [f"## {at.dataset}: {at.target}\n\n{tables.markdown(table)}" for at, table in shown]
    texts = {
        "comparison.csv": tables.comparison_csv(rows),
        "comparison.md": "\n".join(markdown),
        "groups.csv": tables.values_csv(values),
        "confusion.csv": tables.confusion_csv(sections),
    }
    return {name: text.encode() for name, text in texts.items()}


def _pictures(number: int, section: Section) -> Iterator[Picture]:
    """Every picture of a section that has something to show."""
    made: list[tuple[str, str, str, bytes | None]] = [
        ("comparison", "Test accuracy", DOTS, figures.comparison(section, tables.comparison(section))),
        ("curves", "Learning curves", CURVES, figures.curves(section)),
    ]
    for place, name in enumerate(section.nuisances, start=1):
        values = tables.values(section, name)
        count = len({value.value for value in values})
        more = LOWEST.format(all=count, shown=figures.SHOWN) if count > figures.SHOWN else ""
        made.append(
            (f"groups-{place}", f"Test accuracy by {name}", VALUES.format(name=name) + more, figures.groups(values))
        )
    for place, group in enumerate(section.groups, start=1):
        png = figures.confusion(*tables.confusion(group), group.label)
        made.append((f"confusion-{place}", f"Confusion of {group.label}", "", png))
    for kind, title, caption, png in made:
        if png:
            yield Picture(f"{number}-{kind}.png", title, caption, png)


def _page(
    runs: Sequence[Run], sections: Sequence[Section], pictures: Sequence[Sequence[Picture]], files: Sequence[str]
) -> str:
    finished = sum(len(section.runs) for section in sections)
    unfinished = [run for run in runs if not run.finished]
    about = f"{finished} finished {'run' if finished == 1 else 'runs'} in {_count(sections)}."
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="{MARK}" content="{" ".join(files)}">',
        f"<title>Comparison of training runs</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        f"<h1>Comparison of training runs</h1>\n<p>{about} The numbers with every digit: ",
        ", ".join(f'<a href="{name}">{name}</a>' for name in files if not name.endswith(".png")) + ".</p>",
        *([_unfinished(unfinished)] if unfinished else []),
        *(_section(section, some) for section, some in zip(sections, pictures, strict=True)),
        _notes(sections),
        _runs(sections),
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _count(sections: Sequence[Section]) -> str:
    return "one comparison" if len(sections) == 1 else f"{len(sections)} comparisons, one for each dataset and target"


def _unfinished(runs: Sequence[Run]) -> str:
    items = "".join(f"<li>{escape(run.name)}: {escape(run.state)}, {run.epochs_run} epochs</li>" for run in runs)
    return f"<h3>Not finished, left out</h3>\n<ul>{items}</ul>"


def _section(section: Section, pictures: Sequence[Picture]) -> str:
    by_kind: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_kind.setdefault(picture.name.split("-")[1].removesuffix(".png"), []).append(picture)
    lines = [
        f"<h2>{escape(section.dataset)}: {escape(section.target)}</h2>",
        _compared(section),
        _table(tables.comparison_shown(tables.comparison(section))),
        *(_figure(picture) for kind in ("comparison", "curves") for picture in by_kind.get(kind, [])),
        *(_values(section, name) for name in section.nuisances),
        *(_figure(picture) for picture in by_kind.get("groups", [])),
    ]
    if "confusion" in by_kind:
        lines += ["<h3>Confusion</h3>", f'<p class="note">{CONFUSION}</p>', '<div class="pictures">']
        lines += [*(_figure(picture) for picture in by_kind["confusion"]), "</div>"]
    return "\n".join(lines)


def _compared(section: Section) -> str:
    """What stands against what: data, items, classes, nuisances, the networks that were differed from."""
    facts: list[tuple[str, str]] = []
    for data in {run.dataset["content"]: run.dataset for run in section.runs}.values():
        counts = ", ".join(f"{count} {name}" for name, count in data["counts"].items())
        digest, content = escape(data["digest"]), escape(data["content"][:8])
        facts.append(("dataset", f"<code>{digest}</code>, content <code>{content}</code>: {escape(counts)} items"))
        facts.append(("classes", f"{len(data['classes'])}: {escape(', '.join(map(str, data['classes'][:50])))}"))
    facts.append(("nuisances", escape(", ".join(section.nuisances) or "none")))
    others = {other["digest"]: other for run in section.runs for other in run.orthogonal}
    facts += [("orthogonal network", _other(other)) for other in others.values()]
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{fact}</dd>" for name, fact in facts) + "</dl>"


def _other(other: Mapping[str, object]) -> str:
    name, target, digest = (escape(str(other[key])) for key in ("name", "target", "digest"))
    text = f"{name}, which learnt {target}, <code>{digest[:8]}</code>"
    seen = other.get("seen")
    known = {name: count for name, count in seen.items() if count} if isinstance(seen, dict) else {}
    counts = " and ".join(f"{count} {name}" for name, count in known.items())
    return f"{text}; <strong>it was trained on {escape(counts)} items of this dataset</strong>" if known else text


def _values(section: Section, name: str) -> str:
    table = tables.values_shown(tables.values(section, name))
    opened = " open" if len(table) <= OPENED else ""
    title = f"<summary>Test accuracy by {escape(name)}: {len(table) - 1} values</summary>"
    return f"<details{opened}>{title}{_table(table)}</details>" if len(table) > 1 else ""


def _table(table: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table[0])
    rows = (f'<th scope="row">{escape(row[0])}</th>' + "".join(map(_cell, row[1:])) for row in table[1:])
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cell(text: str) -> str:
    mark = ' class="worst"' if text.endswith(" worst") else ""
    return f"<td{mark}>{escape(text)}</td>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    title = escape(picture.title)
    caption = f"<figcaption><strong>{title}.</strong> {escape(picture.caption)}</figcaption>"
    return f'<figure><img alt="{title}" src="data:image/png;base64,{data}">{caption}</figure>'


def _notes(sections: Sequence[Section]) -> str:
    rules = sorted({run.settings.get("selection", "best") for section in sections for run in section.runs})
    chosen = "Scored are the weights of " + " or ".join(SELECTION.get(rule, rule) for rule in rules)
    chosen += "; the test split had no part in the choice." if len(rules) == 1 else ", as each run's settings say."
    notes = [chosen, *NOTES] if rules else []
    return (
        "<h2>How to read this</h2>\n<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"
        if notes
        else ""
    )


def _runs(sections: Iterable[Section]) -> str:
    entries = []
    for section in sections:
        for group in section.groups:
            for run in group.runs:
                about = f"{run.name}: {group.label}, seed {run.settings['seed']}"
                settings = [["setting", "value"], *([name, _word(value)] for name, value in run.settings.items())]
                ended = f"{run.epochs_run} epochs, stopped by {run.stopped}, best epoch {run.best_epoch or '-'}"
                digest = f"<p>{escape(ended)}; run <code>{escape(run.digest)}</code></p>"
                entries.append(f"<details><summary>{escape(about)}</summary>{digest}{_table(settings)}</details>")
    return "<h2>Settings of every run</h2>\n" + "\n".join(entries) if entries else ""


def _word(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
