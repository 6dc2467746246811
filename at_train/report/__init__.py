"""Run folders -> one page that compares them; reads what runs wrote, never networks or shards."""

from collections.abc import Sequence
from pathlib import Path

from at_train import run_folder
from at_train.report import folders, formats, groups, tables
from at_train.report.folders import Material, Missing, gather
from at_train.results import Run, writing

__all__ = ["Material", "comparison_text", "gather", "report", "write"]


def report(run_folders: Sequence[Path], out: Path | None = None) -> Path:
    """The page `index.html` on these runs and studies, written into `out` with its pictures and tables.

    Without `out` the report of a single study goes into its folder `report`. Raises CheckpointError for a folder that
    is neither run nor study, for a run that is damaged and not a study's, or when `out` cannot be written; ConfigError
    when there is no run or `out` holds something else.
    """
    return write(gather(run_folders), out)


def write(material: Material, out: Path | None = None) -> Path:
    """The same of runs that were gathered already."""
    from at_train.report import page  # noqa: PLC0415 - matplotlib, slow to import, needed here only

    place = folders.place_of(material, out)
    run_folder.refuse_within_dataset(place)
    with writing(place, "mend that, or choose another --out"):
        return page.write(material, place)


def comparison_text(material: Material | Sequence[Run]) -> str:
    """The comparison as text: a table for each dataset and target, then runs not finished, and runs not asked for."""
    if not isinstance(material, Material):
        runs = tuple(material)
        told = tuple(Missing(run.name, run.state, f"{run.epochs_run} epochs") for run in runs if not run.finished)
        material = Material(runs, told)
    blocks = [
        f"{section.dataset}: {section.target}\n{formats.aligned(tables.comparison_shown(tables.comparison(section)))}"
        for section in groups.sections(material.runs, material.others)
    ]
    if material.missing:
        lines = (f"  {one.name} ({one.state}, {one.reason})\n" for one in material.missing)
        blocks.append("not finished, left out:\n" + "".join(lines))
    if material.unasked:
        blocks.append(f"{material.unasked_title}:\n" + "".join(f"  {name}\n" for name in material.unasked))
    return "\n".join(blocks)
