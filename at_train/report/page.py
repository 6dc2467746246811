"""Runs -> one HTML page that opens from disk, its pictures and its tables."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from at_data.errors import ConfigError
from at_train.report import comparisons, formats, groups, html, paper_page, tables
from at_train.report.folders import Material, Missing
from at_train.report.groups import Section
from at_train.report.html import Picture
from at_train.results import replace

MARK = "at-train-report-files"  # names in a page the files that were written with it
NOTES = (
    (
        "Intervals are 95 % t-intervals of the mean over seeds; where a dataset is there in several partitions or "
        "folds, of the mean over those, each the mean of its seeds, and a seed counts once for each. Folds share most "
        "of their training items, so that their interval is rather too narrow. Intervals tell how much training "
        "varies, not what another choice of test items would change, nor, where all seeds of a setting use one "
        "orthogonal network, what another such network would. A single seed has no interval, shown as -. Intervals "
        "are not widened for the number of settings compared."
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


def write(material: Material, out: Path) -> Path:
    """The page that compares these runs, written into `out` with its pictures and tables.

    An earlier report in `out` is replaced, other files are left alone; the page is put in place after what it names.
    ConfigError when there are no runs or `out` is something else.
    """
    if not (material.runs or material.missing or material.unasked):
        raise ConfigError("report", "no run folders", "one or several", "name folders that `at-train fit` wrote")
    earlier = _earlier(out)
    sections = groups.sections(material.runs, material.others)
    together = paper_page.part(sections)
    pictures = [list(comparisons.pictures(number, section)) for number, section in enumerate(sections, start=1)]
    files = _tables(sections) | together.files
    files |= {picture.name: picture.png for some in [together.pictures, *pictures] for picture in some}
    for name, content in files.items():
        replace(out / name, content)
    replace(out / "index.html", _page(material, sections, together.text, pictures, sorted(files)).encode())
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
    return {name for name in found[1].split() if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)}


def _tables(sections: Sequence[Section]) -> dict[str, bytes]:
    rows = [row for section in sections for row in tables.comparison(section)]
    values = [(section, tables.values(section, name)) for section in sections for name in section.nuisances]
    shown = [(at, tables.comparison_shown(tables.comparison(at))) for at in sections]
    markdown = [f"## {at.dataset}: {at.target}\n\n{formats.markdown(table)}" for at, table in shown]
    texts = {
        "comparison.csv": tables.comparison_csv(rows),
        "comparison.md": "\n".join(markdown),
        "groups.csv": tables.values_csv(values),
        "confusion.csv": tables.confusion_csv(sections),
    }
    return {name: text.encode() for name, text in texts.items()}


def _page(
    material: Material,
    sections: Sequence[Section],
    together: str,
    pictures: Sequence[Sequence[Picture]],
    files: Sequence[str],
) -> str:
    finished = sum(len(section.runs) for section in sections)
    title = f"Study {material.title}" if material.title else "Comparison of training runs"
    about = f"{finished} finished {'run' if finished == 1 else 'runs'} in {_count(sections)}."
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="{MARK}" content="{" ".join(files)}">',
        f"<title>{escape(title)}</title>\n<style>{html.STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(title)}</h1>\n<p>{about} The numbers with every digit: ",
        ", ".join(f'<a href="{name}">{name}</a>' for name in files if not name.endswith(".png")) + ".</p>",
        *([_missing(material.missing)] if material.missing else []),
        *([_unasked(material)] if material.unasked else []),
        together,
        *(comparisons.text(section, some) for section, some in zip(sections, pictures, strict=True)),
        _notes(sections),
        _runs(sections),
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _count(sections: Sequence[Section]) -> str:
    return "one comparison" if len(sections) == 1 else f"{len(sections)} comparisons, one for each dataset and target"


def _missing(some: Sequence[Missing]) -> str:
    items = "".join(f"<li>{escape(one.name)}: {escape(one.state)}, {escape(one.reason)}</li>" for one in some)
    return f"<h3>Not finished, left out</h3>\n<ul>{items}</ul>"


def _unasked(material: Material) -> str:
    items = "".join(f"<li>{escape(name)}</li>" for name in material.unasked)
    return f"<h3>{material.unasked_title}</h3>\n<ul>{items}</ul>"


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
                entries.append(f"<details><summary>{escape(about)}</summary>{digest}{html.table(settings)}</details>")
    return "<h2>Settings of every run</h2>\n" + "\n".join(entries) if entries else ""


def _word(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
