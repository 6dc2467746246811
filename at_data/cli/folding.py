"""The command that writes the manifests of all folds."""

from pathlib import Path

import click

from at_data.cli.options import FOLDER
from at_data.errors import ManifestError


@click.command(epilog="Example: at-prepare folds emotion_fold1of5.yaml --out manifests")
@click.argument("manifest")
@click.option("--out", required=True, type=FOLDER, help="Folder that receives the manifests.")
@click.option("--source", type=FOLDER, help="Folder of the corpus, whose groups are counted for fold: i/groups.")
def folds(manifest: str, out: Path, source: Path | None) -> None:
    """Write a manifest for every fold of MANIFEST, whose split, or whose subset's, has a fold."""
    from at_data import folds as every  # noqa: PLC0415
    from at_data import manifest as manifests  # noqa: PLC0415

    made = manifests.load(manifest)
    split = every.folded(made)
    count = split.folds
    if count is None:
        if source is None:
            raise ManifestError(
                made.name,
                f"fold {split.fold} leaves one group out and only the corpus knows how many there are",
                "the folder of the corpus",
                "add --source DIR",
            )
        from at_data.build.chosen import fold_count  # noqa: PLC0415 - numpy and scipy, which --help does not need

        count = fold_count(made, split, source)
    out.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(every.all_folds(made, count), start=1):
        path = out / f"{one.name}.yaml"
        if path.exists() and manifests.load(path).digest != one.digest:
            raise ManifestError(path, "another manifest lies here", "none, or the same", "choose another --out")
        if not path.exists():
            manifests.write(
                one, path, f"Fold {number} of {count}, written by at-prepare folds from {Path(manifest).name}."
            )
        click.echo(path)
