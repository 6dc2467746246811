"""What another network is used for: nothing, its weights, or to differ from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from at_data.errors import ConfigError
from at_train import checkpoints, run_folder
from at_train.checkpoints import Facts
from at_train.config import Settings
from at_train.losses import AntiTransfer
from at_train.networks import Network


@dataclass(frozen=True)
class Orthogonal:
    """A finished run that another one is compared with."""

    folder: Path
    facts: dict[str, Any]

    @property
    def weights(self) -> Path:
        """File with the weights it is scored by."""
        return checkpoints.selected(self.folder, self.facts["settings"]["selection"])

    def seen(self, corpus: str, ids: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Items of each split of another dataset that come from recordings this network was trained on.

        Ids are those of the corpus, so every count is zero where the corpora differ.
        """
        if self.facts["dataset"]["corpus"] != corpus:
            return dict.fromkeys(ids, 0)
        taught = {_recording(line) for line in (self.folder / "train_ids.txt").read_text(encoding="utf-8").splitlines()}
        return {split: sum(_recording(item) in taught for item in items) for split, items in ids.items()}

    def entry(self, corpus: str, ids: Mapping[str, Iterable[str]]) -> dict[str, Any]:
        """What a run on another dataset with these held-out ids remembers of it."""
        own = {name: self.facts[name] for name in ("name", "digest")}
        return {**own, "target": self.facts["dataset"]["target"], "seen": self.seen(corpus, ids)}


def orthogonals(settings: Settings) -> list[Orthogonal]:
    """The runs that the settings name; CheckpointError for a folder that is no finished run."""
    found = [Orthogonal(Path(folder), run_folder.read_finished(Path(folder))) for folder in settings.orthogonal]
    if settings.strategy == "dual" and found[0].facts["settings"]["strategy"] != "anti":
        raise ConfigError(
            found[0].folder,
            f"trained with strategy '{found[0].facts['settings']['strategy']}'",
            "a run trained with 'anti' as the first of dual's two",
            "give the run to start from first, the run to differ from second",
        )
    return found


def apply(settings: Settings, network: Network, others: Sequence[Orthogonal], facts: Facts) -> AntiTransfer | None:
    """The penalty that training adds, if any; the network has been given the weights the strategy copies.

    The other network sees what this one sees: inputs scaled as this dataset's are, as in the paper's experiments.
    """
    loaded = [checkpoints.orthogonal(other.weights, facts) for other in others]
    if settings.strategy in {"init", "freeze", "dual"}:
        checkpoints.copy_convolutions(loaded[0], network)
    if settings.strategy == "freeze":
        checkpoints.freeze(network, settings.layers[0])
    if settings.strategy not in {"anti", "dual"}:
        return None
    frozen = loaded[-1]
    theirs = [frozen.layers[name] for name in settings.layers if name in frozen.layers]
    if len(theirs) < len(settings.layers):
        raise ConfigError(
            others[-1].folder,
            f"its network has not all of the layers {', '.join(settings.layers)}",
            f"a network with them, it has {', '.join(frozen.layers)}",
            "compare layers that both networks have",
        )
    ours = [network.layers[name] for name in settings.layers]
    penalty = AntiTransfer(
        frozen, ours, settings.beta, settings.aggregation, settings.similarity, settings.variant, theirs
    )
    return penalty.watch(network)


def _recording(item: str) -> str:
    """Recording that an item is a segment of."""
    return item.rsplit("#", 1)[0]
