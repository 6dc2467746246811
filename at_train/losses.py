"""The anti-transfer penalty: stands alone, takes any two CNNs, changes neither of them."""

import difflib
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from at_data.errors import ConfigError
from at_train import as_released
from at_train.aggregations import AGGREGATIONS
from at_train.similarities import SIMILARITIES

Maps = dict[str, Tensor]  # layer name -> batch channels height width, the axes of each layer its own
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
    ) -> None:
        super().__init__()
        partners = layers if frozen_layers is None else frozen_layers
        _check_layers(layers, partners)
        _check_known("aggregation", aggregation, AGGREGATIONS)
        _check_known("similarity", similarity, SIMILARITIES)
        _check_known("variant", variant, ("paper", "as_released"))
        if not math.isfinite(beta):
            raise ConfigError("beta", f"got {beta}", "a finite number", "1 is the paper's default")
        self.layers = tuple(layers)
        self.frozen_layers = tuple(partners)
        self.beta = float(beta)
        self.aggregation = aggregation
        self.similarity = similarity
        self.variant = variant
        self.last = {}
        # In a tuple, nn.Module does not see it: no parameters for an optimiser, nothing in the state dict.
        self._frozen = (frozen.requires_grad_(False).eval(),)
        self._handles: list[RemovableHandle] = []
        self._maps: Maps = {}
        _modules(frozen, self.frozen_layers, "frozen_layers")

    @property
    def frozen(self) -> nn.Module:
        """The frozen network."""
        return self._frozen[0]

    def watch(self, model: nn.Module) -> "AntiTransfer":
        """Itself, now keeping the compared maps of every forward pass of `model`; ends an earlier watch.

        The pass must be a call of `model` itself, since that is what marks the beginning of a batch; copies of it, such
        as a moving average of the weights, are not watched.
        """
        shared = {id(weight) for weight in self.frozen.parameters()} & {id(weight) for weight in model.parameters()}
        if shared:
            came = f"{len(shared)} tensors of weights are shared by the frozen and the watched network"
            raise ConfigError("watch", came, "two networks", "freeze a copy: copy.deepcopy(model)")
        modules = _modules(model, self.layers, "layers")
        self.unwatch()

        watched = weakref.ref(model)  # a deep copy of the model takes the hooks along, and is not watched

        def begin(module: nn.Module, _inputs: tuple[Any, ...]) -> None:
            if module is watched():
                self._maps = {}

        self._handles.append(model.register_forward_pre_hook(begin))
        for name, module in modules.items():
            self._handles.append(module.register_forward_hook(_keep(name, module, lambda: self._maps)))
        return self

    def unwatch(self) -> None:
        """Remove every hook from the watched network and forget its maps."""
        while self._handles:
            self._handles.pop().remove()
        self._maps = {}

    def forward(self, *inputs: Any, **named: Any) -> Float[Tensor, ""]:
        """Penalty of the batch that the watched network saw last; `inputs` are what it was called with.

        Uses the kept maps up: each penalty needs its own forward pass.
        """
        ours, self._maps = self._maps, {}
        for name in self.layers:
            if name not in ours:
                todo = "call watch(model) once, then model(x) before each penalty(x)"
                raise ConfigError(f"layer {name}", "no feature map", "a forward pass of the watched network", todo)
        theirs = self._look(*inputs, **named)
        terms = {}
        for name, partner in zip(self.layers, self.frozen_layers, strict=True):
            terms[name] = self._term(name, ours[name], theirs[partner])
        self.last = {name: term.detach() for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum()

    def _look(self, *inputs: Any, **named: Any) -> Maps:
        """Maps of the frozen network, from a pass that ends where the last of them is known."""
        maps: Maps = {}
        self.frozen.eval()  # whoever holds the frozen network may have called .train() since
        modules = _modules(self.frozen, self.frozen_layers, "frozen_layers")
        with torch.no_grad(), _until_complete(modules, maps):
            self.frozen(*inputs, **named)
        for name in self.frozen_layers:
            if name not in maps:
                todo = "name a layer that forward calls"
                raise ConfigError(f"frozen layer {name}", "its forward pass never reached it", "a feature map", todo)
        return maps

    def _term(self, name: str, ours: Tensor, theirs: Tensor) -> Tensor:
        """What one layer adds to the penalty: a term of the second sum of equation 3, mean over items."""
        if ours.shape[0] != theirs.shape[0]:
            came = f"the watched network saw {ours.shape[0]} items, the penalty {theirs.shape[0]}"
            raise ConfigError(f"layer {name}", came, "the same batch", "call model(x), then penalty(x) with the same x")
        try:
            if self.variant == "as_released":
                return as_released.penalty(ours, theirs, self.beta, self.aggregation, self.similarity)
            vectors = AGGREGATIONS[self.aggregation](ours, theirs)
        except ConfigError as error:
            where = f"layer {name}, {error.where}"
            raise ConfigError(where, error.came, error.expected, error.todo) from None
        return self.beta * SIMILARITIES[self.similarity](*vectors).mean()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "AntiTransfer":
        """Itself, after `.to(...)` and its kin have reached the hidden frozen network too."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.frozen._apply(fn, recurse)  # type: ignore[no-untyped-call]  # noqa: SLF001 (as torch treats children)
        return self


class _Complete(Exception):  # noqa: N818 (a signal, not an error)
    """Every map asked for has been seen."""


@contextmanager
def _until_complete(modules: dict[str, nn.Module], maps: Maps) -> Iterator[None]:
    """Within it the outputs of `modules` go into `maps`; it ends as soon as there is one of each."""

    def stop(_module: nn.Module, _inputs: tuple[Any, ...], _output: Any) -> None:
        if len(maps) == len(modules):
            raise _Complete

    handles = []
    for name, module in modules.items():
        handles.append(module.register_forward_hook(_keep(name, module, lambda: maps)))
        handles.append(module.register_forward_hook(stop))
    try:
        with suppress(_Complete):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _keep(name: str, module: nn.Module, maps: Callable[[], Maps]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    """Forward hook that puts the first output of this very module, not of a copy of it, into the maps.

    It copies: an in-place operation after the module would otherwise change the map of the watched network, and not
    that of the frozen one, which has stopped. The copy is float32 at least, as the aggregations need it anyway.
    """
    compared = weakref.ref(module)

    def keep(module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        if module is not compared():
            return
        if not isinstance(output, Tensor) or output.dim() != 4 or not output.is_floating_point():  # noqa: PLR2004
            came = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
            expected = "a float feature map, batch x channels x height x width"
            raise ConfigError(f"layer {name}", f"its output is {came}", expected, "name a convolution or what follows")
        if name not in maps():
            maps()[name] = output.to(torch.promote_types(output.dtype, torch.float32), copy=True)

    return keep


def _modules(network: nn.Module, names: Sequence[str], where: str) -> dict[str, nn.Module]:
    """Submodules of a network by name."""
    known = dict(network.named_modules())
    for name in names:
        if name not in known or not name:
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or [key for key in known if key][:5]
            kind = type(network).__name__
            todo = f"near names: {', '.join(near)}" if near else "the network has no submodules"
            raise ConfigError(where, f"{kind} has no module '{name}'", "names as in named_modules()", todo)
    return {name: known[name] for name in names}


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
