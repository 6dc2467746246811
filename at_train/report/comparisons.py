"""One section of the page: what was compared, its table, its pictures and its groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape

from at_train.report import figures, html, paper_figures, sweeps, tables
from at_train.report.biased import bias, conflicts
from at_train.report.choice import Line, choose, lines
from at_train.report.groups import Group, Section
from at_train.report.html import Picture

OPENED = 25  # rows up to which a table of groups is shown unfolded
DRAWN = 12  # groups up to which every one has its curves, its dots and its confusion
CURVES = (
    "Loss by epoch on the training and the validation split. Thin lines are seeds, the thick line is their mean as far "
    "as every seed went; a dot marks the epoch whose weights are scored. A task loss that falls in train and rises "
    "in valid is overfitting; the anti-transfer loss is drawn for the runs that have one (as figure 7 of the paper)."
)
DOTS = (
    "Left: test accuracy; grey dots are seeds, the diamond is their mean, the bar its 95 % interval; in brackets the "
    "number of seeds. Right, where runs of strategy none share seeds: what a setting gained or lost against them; "
    "an interval that leaves zero out is a difference beyond what seeds explain; of twenty settings that change "
    "nothing, one has such an interval by chance."
)
VALUES = (
    "Test accuracy on the items of each value. A ring marks the worst value of each setting. The wider the dots of one "
    "setting lie apart, the more it depends on {name}."
)
LOWEST = " Of {all} values, the {shown} with the lowest accuracies are drawn; the table has all."
CONFUSION = "Rows are true classes: the share of a class's test items that was taken for each class, over all seeds."
CONFLICTING = (
    "Left: unseen groups without bias. Right: what train's own groups have of the combinations that the bias held out. "
    "A network that uses the shortcut does worse on the right."
)
LAYERS = (
    "What anti-transfer at each layer gained against strategy none in training and in test accuracy, paired by seed, "
    "with 95 % intervals. The best of many layers is high by chance alone: see the choice of layer."
)
BETAS = (
    "Mean and 95 % interval over seeds by weight of the anti-transfer loss; the dashed line and its band are strategy "
    "none. The axis is logarithmic above the smallest weight."
)
KINDS = ("comparison", "conflicting", "layers", "betas", "curves")
FEWER = " Of {all} settings, the usual ones are drawn, each at the layer that validation accuracy chose."


def pictures(number: int, section: Section) -> Iterator[Picture]:
    """Every picture of a section that has something to show."""
    few = _headline(section)
    fewer = FEWER.format(all=len(section.groups)) if len(few.groups) < len(section.groups) else ""
    both = conflicts(section, [choose(line) for line in lines(section)])
    made: list[tuple[str, str, str, bytes | None]] = [
        ("comparison", "Test accuracy", DOTS, figures.comparison(section, tables.comparison(section))),
        ("conflicting", "Where the bias holds no more", CONFLICTING, paper_figures.conflicts(both)),
        ("layers", "Gain by layer, as figure 6", LAYERS, paper_figures.layers(sweeps.layers(section))),
        ("betas", "Test accuracy by beta, as figure 8", BETAS, paper_figures.betas(sweeps.betas(section))),
        ("curves", "Learning curves, as figure 7", CURVES + fewer, figures.curves(few)),
    ]
    titles = {group.label: group.title for group in few.groups}
    for place, name in enumerate(section.nuisances, start=1):
        values = tables.values(few, name)
        count = len({value.value for value in values})
        more = LOWEST.format(all=count, shown=figures.SHOWN) if count > figures.SHOWN else ""
        caption = VALUES.format(name=name) + more + fewer
        made.append((f"groups-{place}", f"Test accuracy by {name}", caption, figures.groups(values, titles)))
    for place, group in enumerate(few.groups, start=1):
        png = figures.confusion(*tables.confusion(group), group.title)
        made.append((f"confusion-{place}", f"Confusion of {group.title}", "", png))
    for kind, title, caption, png in made:
        if png:
            yield Picture(f"{number}-{kind}.png", title, caption, png)


def _headline(section: Section) -> Section:
    """The section itself, or of many groups those with usual settings, at the layer that was chosen if any was."""
    if len(section.groups) <= DRAWN:
        return section
    every = lines(section)
    usual = [line for line in every if not line.row.details or line.row.strategy == "dann"]
    chosen = {group.label for line in usual or every for group in _shown(line)}
    return replace(section, groups=tuple(group for group in section.groups if group.label in chosen))


def _shown(line: Line) -> Sequence[Group]:
    """What was chosen, all that there was to choose from where nothing was."""
    chosen = choose(line).chosen
    return [chosen] if chosen else line.candidates


def text(section: Section, pictures: Sequence[Picture]) -> str:
    """The section as HTML, its pictures in place."""
    by_kind: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_kind.setdefault(picture.name.split("-")[1].removesuffix(".png"), []).append(picture)
    blocks = [
        f"<h2>{escape(section.dataset)}: {escape(section.target)}</h2>",
        _compared(section),
        html.table(tables.comparison_shown(tables.comparison(section))),
        *(html.figure(picture) for kind in KINDS for picture in by_kind.get(kind, [])),
        *(_values(section, name) for name in section.nuisances),
        *(html.figure(picture) for picture in by_kind.get("groups", [])),
    ]
    if "confusion" in by_kind:
        blocks += ["<h3>Confusion</h3>", f'<p class="note">{CONFUSION}</p>', '<div class="pictures">']
        blocks += [*(html.figure(picture) for picture in by_kind["confusion"]), "</div>"]
    return "\n".join(blocks)


def _compared(section: Section) -> str:
    """What stands against what: data, items, classes, nuisances, the networks that were differed from."""
    facts: list[tuple[str, str]] = []
    for data in {run.dataset["content"]: run.dataset for run in section.runs}.values():
        counts = ", ".join(f"{count} {name}" for name, count in data["counts"].items())
        name, digest, content = escape(data["name"]), escape(data["digest"]), escape(data["content"][:8])
        of = f"{name} <code>{digest}</code>, content <code>{content}</code>"
        facts.append(("dataset", f"{of}: {escape(counts)} items"))
        facts.append(("classes", f"{len(data['classes'])}: {escape(', '.join(map(str, data['classes'][:50])))}"))
    told = dict.fromkeys(filter(None, map(bias, section.runs)))
    facts += [("bias", escape(one.words)) for one in told]
    facts.append(("nuisances", escape(", ".join(section.nuisances) or "none")))
    others: dict[str, dict[str, Mapping[str, object]]] = {}  # by digest, then by content of the data it was used on
    for run in section.runs:
        for other in run.orthogonal:
            others.setdefault(other["digest"], {})[run.dataset["content"]] = other
    facts += [("orthogonal network", _other(entries)) for entries in others.values()]
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{fact}</dd>" for name, fact in facts) + "</dl>"


def _other(entries: Mapping[str, Mapping[str, object]]) -> str:
    """What is said of a network that was differed from, and of what each dataset holds out and it had heard."""
    other = next(iter(entries.values()))
    name, target, digest = (escape(str(other[key])) for key in ("name", "target", "digest"))
    texts = [f"{name}, which learnt {target}, <code>{digest[:8]}</code>"]
    for content, entry in entries.items():
        seen = entry.get("seen")
        known = {name: count for name, count in seen.items() if count} if isinstance(seen, dict) else {}
        counts = escape(" and ".join(f"{count} {name}" for name, count in known.items()))
        warning = f"it, or a network that it used, was trained on {counts} items of content {escape(content[:8])}"
        texts += [f"<strong>{warning}</strong>"] if known else []
    return "; ".join(texts)


def _values(section: Section, name: str) -> str:
    table = tables.values_shown(tables.values(section, name))
    opened = " open" if len(table) <= OPENED else ""
    values = f"{len(table) - 1} {'value' if len(table) == 2 else 'values'}"  # noqa: PLR2004 - its head is the other
    title = f"<summary>Test accuracy by {escape(name)}: {values}</summary>"
    return f"<details{opened}>{title}{html.table(table)}</details>" if len(table) > 1 else ""
