"""Pieces of the page: its style, tables and figures as HTML."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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


@dataclass(frozen=True)
class Picture:
    """One PNG of the page: its file, what it shows in a few words, how to read it."""

    name: str
    title: str
    caption: str
    png: bytes


def table(rows: Sequence[Sequence[str]]) -> str:
    """Titles and rows, each row's first cell its name."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    cells = (f'<th scope="row">{escape(row[0])}</th>' + "".join(map(_cell, row[1:])) for row in rows[1:])
    body = "\n".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cell(text: str) -> str:
    mark = ' class="worst"' if text.endswith(" worst") else ""
    return f"<td{mark}>{escape(text)}</td>"


def figure(picture: Picture) -> str:
    """The picture itself, within the page, and how to read it."""
    data = base64.b64encode(picture.png).decode()
    title = escape(picture.title)
    caption = f"<figcaption><strong>{title}.</strong> {escape(picture.caption)}</figcaption>"
    return f'<figure><img alt="{title}" src="data:image/png;base64,{data}">{caption}</figure>'
