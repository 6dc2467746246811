"""What another network is used for: nothing, its weights, or to differ from it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from at_data.errors import ConfigError
from at_train import checkpoints, feature_maps, run_folder
from at_train.adversaries import Adversary
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Split
from at_train.checkpoints import Facts
from at_train.config import Settings
from at_train.feature_maps import Watched
from at_train.kept_vectors import Comparison
from at_train.losses import AntiTransfer, keepable
from at_train.networks import Network
from at_train.seen import Item, heard, seen

COMPARING = {"anti", "dual"}  # strategies that differ from a frozen network
SAME_WIDTH = "give both networks the same --width, "  # what to do where maps do not fit, as a rule
TOLD_OF_DATA = ("name", "corpus", "target")  # by a run, of what another network was trained on
COPYING = {"init", "freeze", "dual"}  # strategies that begin with another network's convolutions


@dataclass(frozen=True)
class Orthogonal:
    """A finished run that another one is compared with."""

    folder: Path
    facts: dict[str, Any]

    @property
    def weights(self) -> Path:
        """File with the weights it is scored by."""
        return checkpoints.selected(self.folder, self.facts["settings"]["selection"])

    def entry(self, corpus: str, held_out: Mapping[str, Iterable[Item]]) -> dict[str, Any]:
        """What a run on another dataset with these held-out items remembers of it."""
        own = {name: self.facts[name] for name in ("name", "digest")}
        dataset = {name: value for name, value in self.facts["dataset"].items() if name in TOLD_OF_DATA}
        before = [{name: other[name] for name in other if name != "seen"} for other in self.facts["orthogonal"]]
        return {
            **own,
            "target": self.facts["dataset"]["target"],
            "trained": {"settings": self.facts["settings"], "dataset": dataset, "orthogonal": before},
            "seen": seen(self.folder, self.facts, corpus, held_out),
        }

    @property
    def drawn_by(self) -> tuple[Any, ...] | None:
        """What its convolutions were drawn by; None where they were copied, and nothing tells from where."""
        settings = self.facts["settings"]
        copied = settings["strategy"] in COPYING
        return None if copied else _drawn_by(settings, len(self.facts["dataset"]["classes"]))


def keeps(settings: Settings) -> bool:
    """Whether a run differs from a network whose words of every item can be kept, as `--cache-orthogonal` does."""
    return settings.strategy in COMPARING and keepable(settings.aggregation, settings.variant)


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


def begun_alike(settings: Settings, classes: int, others: Sequence[Orthogonal]) -> Iterator[Orthogonal]:
    """The orthogonal runs that tell less than they seem to, for they began with this run's own convolutions.

    One to differ from counts however long it learnt, one to begin from if it never did: it changes nothing then. The
    convolutions of dual are those that its first run was drawn with, trained since.
    """
    ours = _drawn_by(settings.model_dump(), classes)
    for other in others:
        compared = settings.strategy in COMPARING and other is others[-1]
        origin = others[0].drawn_by if compared and settings.strategy == "dual" else ours
        if other.drawn_by == origin and (compared or not other.facts["epochs_run"]):
            yield other


def _drawn_by(settings: Mapping[str, Any], classes: int) -> tuple[Any, ...]:
    """All that decides what convolutions are drawn for one shape: one generator draws every layer, the last too."""
    return (settings["network"], settings["width"], settings["seed"], classes)


def inherited(others: Sequence[Orthogonal]) -> tuple[set[str], set[str]]:
    """Items, with their corpus, and waveforms that a run which uses these has by way of them; see `seen.heard`."""
    lists = [heard(other.folder, other.facts) for other in others]
    return set[str]().union(*(items for items, _ in lists)), set[str]().union(*(waveforms for _, waveforms in lists))


def refuse_misfits(settings: Settings, network: Network, others: Sequence[Network]) -> None:
    """Nothing, or CheckpointError or ConfigError where `apply` would refuse other networks for their sizes.

    Weights do not count; the layers that are compared have to be there.
    """
    if settings.strategy in COPYING:
        checkpoints.refuse_other_convolutions(others[0], network)
    for layer in settings.layers if settings.strategy in COMPARING else ():
        channels = [len(next(one.convolutions()[layer].parameters())) for one in (network, others[-1])]
        try:
            AGGREGATIONS[settings.aggregation](*(torch.zeros(1, count, 1, 1) for count in channels))
        except ConfigError as error:
            came = f"maps of {channels[0]} and {channels[1]} channels"
            raise ConfigError(f"layer {layer}, {error.where}", came, error.expected, SAME_WIDTH + error.todo) from None


def apply(
    settings: Settings, network: Network, others: Sequence[Orthogonal], facts: Facts, train: Split
) -> Comparison | Adversary | None:
    """What training adds to the task loss, if anything; the network has been given the weights the strategy copies.

    Dice are thrown for what learns beside the network. ConfigError or CheckpointError when networks do not fit each
    other.
    """
    loaded = [checkpoints.orthogonal(other.weights, other.facts["digest"], facts) for other in others]
    if settings.strategy in COPYING:
        checkpoints.copy_convolutions(loaded[0][0], network)
    if settings.strategy == "freeze":
        checkpoints.freeze(network, settings.layers[0])
    if settings.strategy == "dann":
        return _adversary(settings, network, facts, train)
    if settings.strategy not in COMPARING:
        return None
    return Comparison(_anti_transfer(settings, network, others[-1], loaded[-1], facts))


def _anti_transfer(
    settings: Settings, network: Network, run: Orthogonal, other: tuple[Network, Facts], ours: Facts
) -> AntiTransfer:
    """The penalty on likeness to the other network, which sees values scaled as this dataset's or as its own were."""
    frozen, theirs = other
    partners = [frozen.layers[name] for name in settings.layers if name in frozen.layers]
    if len(partners) < len(settings.layers):
        raise ConfigError(
            run.folder,
            f"its network has not all of the layers {', '.join(settings.layers)}",
            f"a network with them, it has {', '.join(frozen.layers)}",
            "compare layers that both networks have",
        )
    own = settings.input_scaling == "own"
    penalty = AntiTransfer(
        frozen.until(settings.layers),
        [network.layers[name] for name in settings.layers],
        settings.beta,
        settings.aggregation,
        settings.similarity,
        settings.variant,
        partners,
        gain=ours.std / theirs.std if own else 1.0,
        offset=(ours.mean - theirs.mean) / theirs.std if own else 0.0,
    )
    penalty.watch(network)
    with _trial(network, ours) as item:
        try:
            penalty(item)
        except ConfigError as error:
            width = run.facts["settings"]["width"]
            if width == settings.width:
                raise
            came = f"{error.came}: the other network has width {width:g}, this one {settings.width:g}"
            raise ConfigError(error.where, came, error.expected, SAME_WIDTH + error.todo) from None
    return penalty


def _adversary(settings: Settings, network: Network, facts: Facts, train: Split) -> Adversary:
    """The branch that guesses the nuisance from the chosen layer's map."""
    assert settings.nuisance is not None
    (layer,) = (network.layers[name] for name in settings.layers)
    watched = Watched(network, feature_maps.named(network, [layer], "layer"))
    with _trial(network, facts):
        channels = watched.take()[layer].shape[1]
    watched.end()
    codes = train.nuisances[settings.nuisance]
    return Adversary(layer, channels, settings.nuisance, codes, settings.beta).watch(network)


@contextmanager
def _trial(network: Network, facts: Facts) -> Iterator[torch.Tensor]:
    """An item of zeros that the network has seen, to find out early what does not fit; no dice are thrown."""
    learning = network.training
    network.eval()
    with torch.no_grad(), torch.random.fork_rng([]):
        item = torch.zeros(1, 1, facts.frames, facts.bins)
        network(item)
        yield item
    network.train(learning)
