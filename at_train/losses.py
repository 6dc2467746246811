"""The anti-transfer penalty: stands alone, takes any two CNNs, changes neither of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from at_data.errors import ConfigError
from at_train import as_released, feature_maps
from at_train.aggregations import AGGREGATIONS, ALONE
from at_train.feature_maps import Maps, Watched
from at_train.similarities import SIMILARITIES

Variant = Literal["paper", "as_released"]


class AntiTransfer(nn.Module):
    """Penalty on feature maps that look like those of a frozen network: beta x similarity, per item, mean over items.

    Watch the network once; then add the penalty to any loss. The network's own forward pass is all it needs:

        penalty = AntiTransfer(frozen, layers=["features.10"], beta=1.0).watch(model)
        logits = model(x)
        loss = F.cross_entropy(logits, y) + penalty(x)

    Layers are module names of the watched network; `frozen_layers` names their partners, in the same order, where the
    frozen network calls them otherwise. A map is what the named module returned, float, `batch channels height width`,
    even if the network changes it in place later: for a convolution before an in-place ReLU it is the map before the
    ReLU, so name the ReLU to compare what comes after it. A module that one pass uses twice counts by its first use.

    The frozen network is taken over: eval mode at every call, no gradients, run under `no_grad` and only as far as the
    last layer compared. It follows `.to(...)`, but is no part of `parameters()`, `modules()` or `state_dict()`, which
    are empty: an optimiser cannot take it and checkpoints of the trained network do not hold it.

    `last` holds what each layer added to the last penalty, as detached scalars still on their device.

    Parameters
    ----------
    frozen : nn.Module
        Network that has learnt the orthogonal task; shares no weights with the watched one.
    layers : sequence of str
        Module names in the watched network; several layers are summed.
    beta : float
        Weight of the penalty, of any sign: below zero it asks for likeness.
    aggregation, similarity : str
        Names in the tables of `aggregations.py` and `similarities.py`.
    variant : {"paper", "as_released"}
        Equations 1 to 3 of the paper, or what the authors' public code computes (`as_released.py`).
    frozen_layers : sequence of str, optional
        Module names in the frozen network; the same as `layers` when absent.
    gain, offset : float
        The frozen network sees its first input times `gain`, plus `offset`: for one that learnt values of another
        scale. 1 and 0, as in the paper's experiments, hand it what the watched network saw.

    Raises
    ------
    ConfigError
        Unknown names, maps that do not fit each other, or no forward pass to look at.

    """

    last: dict[str, Tensor]

    def __init__(
        self,
        frozen: nn.Module,
        layers: Sequence[str],
        beta: float = 1.0,
        aggregation: str = "gram",
        similarity: str = "squared_cosine",
        variant: Variant = "paper",
        frozen_layers: Sequence[str] | None = None,
        gain: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        partners = layers if frozen_layers is None else frozen_layers
        _check_layers(layers, partners)
        _check_known("aggregation", aggregation, AGGREGATIONS)
        _check_known("similarity", similarity, SIMILARITIES)
        _check_known("variant", variant, ("paper", "as_released"))
        for name, number, usual in (("beta", beta, 1), ("gain", gain, 1), ("offset", offset, 0)):
            if not math.isfinite(number):
                raise ConfigError(name, f"got {number}", "a finite number", f"{usual} is the paper's default")
        self.layers = tuple(layers)
        self.frozen_layers = tuple(partners)
        self.beta = float(beta)
        self.gain = float(gain)
        self.offset = float(offset)
        self.aggregation = aggregation
        self.similarity = similarity
        self.variant = variant
        self.last = {}
        # In a tuple, nn.Module does not see it: no parameters for an optimiser, nothing in the state dict.
        self._frozen = (frozen.requires_grad_(False).eval(),)
        self._watched: Watched | None = None
        feature_maps.named(frozen, self.frozen_layers, "frozen_layers")

    @property
    def frozen(self) -> nn.Module:
        """The frozen network."""
        return self._frozen[0]

    def watch(self, model: nn.Module) -> "AntiTransfer":
        """Itself, now keeping the compared maps of every forward pass of `model`; ends an earlier watch.

        The pass must be a call of `model` itself, since that is what marks the beginning and the end of a batch: calls
        of its parts are not watched, nor are copies of it, such as a moving average of the weights. A network that
        `torch.compile` is to compile is watched first. Checkpoints inside it need `use_reentrant=False`, since the
        others make maps without gradients.
        """
        shared = {id(weight) for weight in self.frozen.parameters()} & {id(weight) for weight in model.parameters()}
        if shared:
            came = f"{len(shared)} tensors of weights are shared by the frozen and the watched network"
            raise ConfigError("watch", came, "two networks", "freeze a copy: copy.deepcopy(model)")
        modules = feature_maps.named(model, self.layers, "layers")
        self.unwatch()
        self._watched = Watched(model, modules)
        return self

    def unwatch(self) -> None:
        """Remove every hook from the watched network and forget its maps."""
        if self._watched:
            self._watched.end()
        self._watched = None

    def forward(self, *inputs: Any, **named: Any) -> Float[Tensor, ""]:
        """Penalty of the batch that the watched network saw last; `inputs` are what it was called with.

        Uses the kept maps up: each penalty needs its own forward pass, and where gradients are wanted one with them.
        """
        ours = self._taken()
        theirs = self._look(*inputs, **named)
        return self._sum({name: self._term(name, ours[name], theirs[name]) for name in self.layers})

    def vectors(self, *inputs: Any, **named: Any) -> dict[str, Float[Tensor, "_ _"]]:
        """What the frozen network is compared by, for each of `layers`: float32 at least, and free of all that learns.

        So they may be kept: `against` takes them in place of a frozen pass. ConfigError as of `refuse_keeping`.
        """
        self.refuse_keeping()
        return {name: ALONE[self.aggregation](maps) for name, maps in self._look(*inputs, **named).items()}

    def against(self, vectors: Mapping[str, Float[Tensor, "_ _"]]) -> Float[Tensor, ""]:
        """Penalty of the batch that the watched network saw last, from the `vectors` of the very same items."""
        self.refuse_keeping()
        ours = self._taken()
        return self._sum({name: self._kept_term(name, ours[name], vectors[name]) for name in self.layers})

    def refuse_keeping(self) -> None:
        """Nothing, or ConfigError where the penalty is more than what two networks say of an item, each for itself."""
        if not keepable(self.aggregation, self.variant):
            mixed = self.aggregation in ALONE
            why = "correlates the items of a batch" if mixed else "looks at both networks at once"
            raise ConfigError(
                "kept vectors of the frozen network",
                f"aggregation '{self.aggregation}' of variant '{self.variant}' {why}",
                f"variant 'paper' with one of {', '.join(ALONE)}",
                "let the frozen network run at every step, or choose another aggregation",
            )

    def _taken(self) -> Maps:
        """Maps of the watched network, used up."""
        ours = self._watched.take() if self._watched else {}
        for name in self.layers:
            if name not in ours:
                came = "no feature map with gradients" if torch.is_grad_enabled() else "no feature map"
                todo = "call watch(model) once, before torch.compile, then model(x) right before each penalty(x)"
                raise ConfigError(f"layer {name}", came, "a forward pass of the watched network", todo)
        return ours

    def _sum(self, terms: dict[str, Tensor]) -> Tensor:
        self.last = {name: term.detach() for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum()

    def _look(self, *inputs: Any, **named: Any) -> Maps:
        """Maps of the frozen network by layer of the watched one, from a pass that ends where the last is known."""
        self.frozen.eval()  # whoever holds the frozen network may have called .train() since
        modules = feature_maps.named(self.frozen, self.frozen_layers, "frozen_layers")
        with torch.no_grad():
            maps = feature_maps.first_maps(modules, lambda: self.frozen(*self._rescaled(inputs), **named))
        for name in self.frozen_layers:
            if name not in maps:
                todo = "name a layer that forward calls"
                raise ConfigError(f"frozen layer {name}", "its forward pass never reached it", "a feature map", todo)
        return {name: maps[partner] for name, partner in zip(self.layers, self.frozen_layers, strict=True)}

    def _rescaled(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if (self.gain, self.offset) == (1.0, 0.0):
            return inputs
        if not inputs:
            todo = "call penalty(x), not penalty(name=x)"
            raise ConfigError("gain and offset", "no input by place", "the input to be rescaled as the first", todo)
        return (inputs[0] * self.gain + self.offset, *inputs[1:])

    def _term(self, name: str, ours: Tensor, theirs: Tensor) -> Tensor:
        """What one layer adds to the penalty: a term of the second sum of equation 3, mean over items."""
        _check_items(name, ours, theirs)
        try:
            if self.variant == "as_released":
                return as_released.penalty(ours, theirs, self.beta, self.aggregation, self.similarity)
            vectors = AGGREGATIONS[self.aggregation](ours, theirs)
        except ConfigError as error:
            where = f"layer {name}, {error.where}"
            raise ConfigError(where, error.came, error.expected, error.todo) from None
        return self.beta * SIMILARITIES[self.similarity](*vectors).mean()

    def _kept_term(self, name: str, ours: Tensor, theirs: Tensor) -> Tensor:
        """The same from kept vectors of the frozen network: operation for operation, so that no bit differs."""
        _check_items(name, ours, theirs)
        vectors = ALONE[self.aggregation](ours), theirs
        if self.variant == "as_released":
            positions = ours.shape[2] * ours.shape[3]
            rows, other_rows = (each.reshape(-1, positions) for each in vectors)
            return as_released.of_rows(rows, other_rows, self.beta, self.similarity)
        return self.beta * SIMILARITIES[self.similarity](*vectors).mean()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AntiTransfer":
        """Itself, after `.to(...)` and its kin have reached the hidden frozen network too."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.frozen._apply(fn, recurse)  # type: ignore[no-untyped-call]  # noqa: SLF001 (as torch treats children)
        return self


def keepable(aggregation: str, variant: str) -> bool:
    """Whether the penalty is no more than what two networks say of an item, each for itself."""
    return aggregation in ALONE and (aggregation, variant) != ("gram", "as_released")


def _check_items(name: str, ours: Tensor, theirs: Tensor) -> None:
    if ours.shape[0] != theirs.shape[0]:
        came = f"the watched network saw {ours.shape[0]} items, the penalty {theirs.shape[0]}"
        raise ConfigError(f"layer {name}", came, "the same batch", "call model(x), then penalty(x) with the same x")


def _check_layers(layers: Sequence[str], partners: Sequence[str]) -> None:
    if isinstance(layers, str) or isinstance(partners, str):
        raise ConfigError("layers", "a single name", "a list of module names", "write it in brackets")
    if not layers or len(set(layers)) < len(layers):
        raise ConfigError("layers", f"got {list(layers)}", "one or more names, each once", "name the layers to compare")
    if len(partners) != len(layers):
        came = f"{len(partners)} for {len(layers)} layers"
        raise ConfigError("frozen_layers", came, "one partner for each layer", "name them in the order of layers")


def _check_known(where: str, name: str, known: Sequence[str] | dict[str, Any]) -> None:
    if name not in known:
        raise ConfigError(where, f"unknown name '{name}'", f"one of {', '.join(known)}", "choose a known one")
