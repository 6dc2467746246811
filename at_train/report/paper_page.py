"""The first part of the page: tables 2 to 6 in the paper's shape, the choice of layers, average gains, ablations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from at_train.report import biased, choice, formats, html, paper, paper_figures, paper_tables, sweeps
from at_train.report.groups import Section
from at_train.report.html import Picture
from at_train.report.paper_tables import Family, Shown

ABOUT = (
    "Rows are strategies and what they differed from, columns datasets. Every accuracy is a mean over seeds with its "
    "95 % t-interval; differences are paired with the runs of strategy none of equal seed and data. Where a strategy "
    "was tried at several layers, the layer is chosen by the rule {rule}: {words}."
)
PAPER = (
    "Columns named paper hold what the paper published: one number each, without interval. Those of anti-transfer are "
    "of single runs at the layer that was best in validation; those of none and init are means of about 20 and of 3 "
    "runs, as its authors' code says and the paper does not."
)
CHOICE = (
    "The test accuracy of the chosen layer is that of a choice; beside it stands the mean over all layers, which "
    "nobody chose. Selection bias is what choosing alone would gain on test: the best of so many layers by validation "
    "accuracy, were every layer nothing but the network of strategy none again. It is computed from that network's own "
    "runs, drawn with replacement, as many for each layer as there are seeds that all have; its interval is the "
    "jackknife's. A gain of the chosen layer counts as far as it exceeds it. Layers are taken for independent draws, "
    "though those of one seed share data, order and initial weights: where these make most of the difference between "
    "runs, as with a partition for each seed, less is gained by choosing. Where each of 13 layers has one seed, more "
    "is gained than is told: five runs of strategy none tell three quarters of it, ten seven eighths. The validation "
    "accuracy of a chosen layer is no result: the layer was chosen for it."
)
GAINS = (
    "Mean over targets of the paired differences to strategy none, each at its chosen layer, averaged first over "
    "orthogonal tasks and taken seed by seed; in brackets the number of targets. The bar is the 95 % t-interval over "
    "seeds. A hollow diamond is the same mean of the paper's tables. (The paper's own figure 3 takes the best row of "
    "each column, not their mean, and says {said} points for all targets; by its tables 3 to 5 that is {right:.2f}: "
    "seven gains were added up, one of them with another number than its table has, and divided by six.)"
)
ABLATIONS = (
    "Does encouraging likeness help as well? Differences to strategy none at one layer and of the same orthogonal "
    "network: anti-transfer, the same with beta -1, and its weights frozen up to that layer. As figure 4 of the paper."
)
STRENGTH = (
    "Accuracy by the share of favoured combinations in train, on unseen groups without bias (test) and on the "
    "combinations that the bias held out (test_conflicting). What ignores the nuisance loses least to the right."
)
FEWEST_TARGETS = 2  # that make an average


@dataclass(frozen=True)
class Part:
    """A piece of the page, its pictures, and the files beside it."""

    text: str
    pictures: tuple[Picture, ...]
    files: dict[str, bytes]


def part(sections: Sequence[Section]) -> Part:
    """Everything that is about several settings and datasets together."""
    families = paper_tables.families(paper_tables.target_sections(sections))
    blocks = [
        block for kind in (_pretraining(sections), *map(_family, families)) for block in kind if len(block.table) > 1
    ]
    pictures = tuple(_pictures(sections, families))
    rule = ABOUT.format(rule=choice.RULE, words=choice.RULES[choice.RULE])
    published = f" {PAPER}" if any(family.published for family in families) else ""
    shown = _noted_once(blocks)
    lines = [f'<h2>Tables in the shape of the paper</h2>\n<p class="note">{escape(rule + published)}</p>']
    for block in shown:
        lines += [f"<h3>{escape(block.title)}</h3>", html.table(block.table)]
        lines += [f'<p class="note">{escape(block.note)}</p>'] * bool(block.note)
    lines += map(html.figure, pictures)
    markdown = [
        f"## {block.title}\n\n{formats.markdown(block.table)}" + f"\n{block.note}\n" * bool(block.note)
        for block in shown
    ]
    files = {"paper_tables.md": "\n".join(markdown), "paper_tables.csv": paper_tables.targets_csv(families)}
    conflicts = [
        (section, biased.conflicts(section, choices.values()))
        for family in families
        for section, choices in family.columns.values()
    ]
    if any(some for _, some in conflicts):
        files["conflicting.csv"] = biased.conflicts_csv(conflicts)
    return Part("\n".join(lines) if blocks else "", pictures, {name: text.encode() for name, text in files.items()})


def _noted_once(blocks: Sequence[Shown]) -> list[Shown]:
    """The same tables; a note that several have stands under the first of them."""
    told: set[str] = set()
    kept = []
    for block in blocks:
        kept.append(Shown(block.title, block.table, "" if block.note in told else block.note))
        told.add(block.note)
    return kept


def _pretraining(sections: Sequence[Section]) -> list[Shown]:
    found = paper_tables.pretraining(sections)
    return [found] if found else []


def _family(family: Family) -> Iterator[Shown]:
    yield from paper_tables.shown(family)
    for section, choices in family.columns.values():
        chosen = paper_tables.chosen_shown(section, choices.values())
        if chosen:
            yield Shown(chosen.title, chosen.table, CHOICE)
        yield from sweeps.aggregations(section)


def _pictures(sections: Sequence[Section], families: Sequence[Family]) -> Iterator[Picture]:
    said = {"said": paper.AVERAGE_GAIN["test"], "right": paper.mean_best_gain()}
    gains = sweeps.gains(families)
    if gains and gains[0].targets >= FEWEST_TARGETS:
        png = paper_figures.gains(gains)
        if png:
            yield Picture("figure-3-gains.png", "Average gains, as figure 3", GAINS.format(**said), png)
    png = paper_figures.ablations(sweeps.ablations(sections))
    if png:
        yield Picture("figure-4-ablation.png", "Likeness encouraged, as figure 4", ABLATIONS, png)
    for place, family in enumerate(families, start=1):
        png = paper_figures.strengths(biased.by_strength(family))
        if png:
            yield Picture(f"strength-{place}.png", f"{family.name} by strength of the bias", STRENGTH, png)
