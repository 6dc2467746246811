"""Run folders -> one page that compares them; reads what runs wrote, never networks or shards."""

from collections.abc import Sequence
from pathlib import Path

from at_train.report import groups, tables
from at_train.results import Run, load_run, writing

__all__ = ["comparison_text", "report"]


def report(run_folders: Sequence[Path], out: Path) -> Path:
    """The page `index.html` that compares these runs, written into `out` with its pictures and tables.

    Raises CheckpointError for a folder that is no run or is damaged, or when `out` cannot be written; ConfigError when
    there is no run or `out` holds something else.
    """
    from at_train.report import page  # noqa: PLC0415 - matplotlib, slow to import, needed here only

    with writing(out, "mend that, or choose another --out"):
        return page.write([load_run(folder) for folder in run_folders], out)


def comparison_text(runs: Sequence[Run]) -> str:
    """The comparison as text: a table for each dataset and target, then the runs that are not finished."""
    blocks = [
        f"{section.dataset}: {section.target}\n{tables.aligned(tables.comparison_shown(tables.comparison(section)))}"
        for section in groups.sections(runs)
    ]
    unfinished = [f"  {run.name} ({run.state}, {run.epochs_run} epochs)\n" for run in runs if not run.finished]
    if unfinished:
        blocks.append("not finished, left out:\n" + "".join(unfinished))
    return "\n".join(blocks)
