"""Feature maps out of any network by the names of its modules, by hooks that change nothing."""

import difflib
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from at_data.errors import ConfigError

Maps = dict[str, Tensor]  # layer name -> batch channels height width, the axes of each layer its own


class _Hook:
    """A hook of one network; in copies of it, and in what is read back from a file, it does nothing."""

    def __init__(self, call: Callable[..., None] | None = None) -> None:
        self.call = call

    def __call__(self, *seen: Any) -> None:
        if self.call is not None:
            self.call(*seen)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Hook, ()


class Watched:
    """The maps that modules returned in the last forward pass of a network, by name, until `end` or nobody holds this.

    The pass must be a call of the network itself, since that is what marks the beginning and the end of a batch: calls
    of its parts keep nothing, nor does what a checkpoint computes again. Copies of it are not watched.
    """

    def __init__(self, network: nn.Module, modules: dict[str, nn.Module]) -> None:
        self.maps: Maps = {}
        self.passing = self.learning = False  # a pass is under way; the last one began with gradients
        us = weakref.ref(self)  # or the network would hold whoever watches it
        watched = weakref.ref(network)  # a replica of the network takes the hooks along, and is not watched

        def begin(module: nn.Module, _inputs: tuple[Any, ...]) -> None:
            if (watching := us()) is not None and module is watched():
                watching.maps, watching.passing, watching.learning = {}, True, torch.is_grad_enabled()

        def end(module: nn.Module, _inputs: tuple[Any, ...], _output: Any) -> None:
            if (watching := us()) is not None and module is watched():
                watching.passing = False

        def maps() -> Maps:
            watching = us()
            if watching is None or not watching.passing or watching.learning != torch.is_grad_enabled():
                return {}
            return watching.maps

        self._handles: list[RemovableHandle] = [network.register_forward_pre_hook(_Hook(begin))]
        self._handles.append(network.register_forward_hook(_Hook(end)))
        for name, module in modules.items():
            self._handles.append(module.register_forward_hook(_Hook(keep(name, module, maps))))
        weakref.finalize(self, _remove, self._handles)

    def __reduce__(self) -> tuple[Any, ...]:
        """None, in copies of whoever holds this and in what is read back from a file: copies are not watched."""
        return type(None), ()

    def take(self) -> Maps:
        """The maps, which are forgotten here: each pass gives them once. None, where gradients lack and are wanted now.

        Nothing would be learnt from those of a pass that only looks, or of a reentrant checkpoint.
        """
        maps, self.maps = self.maps, {}
        return maps if self.learning or not torch.is_grad_enabled() else {}

    def end(self) -> None:
        """Remove every hook from the network and forget its maps."""
        _remove(self._handles)
        self.maps = {}


def _remove(handles: list[RemovableHandle]) -> None:
    """Take hooks off, and forget them."""
    while handles:
        handles.pop().remove()


class _Complete(Exception):  # noqa: N818 (a signal, not an error)
    """Every map asked for has been seen."""


def first_maps(modules: dict[str, nn.Module], look: Callable[[], object]) -> Maps:
    """What `look` has these modules return first; it ends as soon as there is one of each, and may end with fewer.

    No context manager made of a generator: Python 3.12 and later keep what one has suppressed, and with it every tensor
    of the pass that it ended, until they collect garbage.
    """
    maps: Maps = {}

    def stop(_module: nn.Module, _inputs: tuple[Any, ...], _output: Any) -> None:
        if len(maps) == len(modules):
            raise _Complete

    handles = []
    for name, module in modules.items():
        handles.append(module.register_forward_hook(keep(name, module, lambda: maps)))
        handles.append(module.register_forward_hook(stop))
    try:
        with suppress(_Complete):
            look()
    finally:
        for handle in handles:
            handle.remove()
    return maps


def keep(name: str, module: nn.Module, maps: Callable[[], Maps]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    """Forward hook that puts the first output of this very module, not of a replica of it, into the maps.

    It copies: an in-place operation after the module would otherwise change the map of the watched network, and not
    that of the frozen one, which has stopped. The copy is float32 at least, as the aggregations need it anyway.
    """
    compared = weakref.ref(module)

    def hook(module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        if module is not compared():
            return
        if not isinstance(output, Tensor) or output.dim() != 4 or not output.is_floating_point():  # noqa: PLR2004
            came = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
            expected = "a float feature map, batch x channels x height x width"
            todo = "name a 2-D convolution or what follows; for maps of batch x channels x time have forward "
            todo += "call an nn.Identity on maps.unsqueeze(2), and name that"
            raise ConfigError(f"layer {name}", f"its output is {came}", expected, todo)
        if name not in maps():
            maps()[name] = output.to(torch.promote_types(output.dtype, torch.float32), copy=True)

    return hook


def named(network: nn.Module, names: Sequence[str], where: str) -> dict[str, nn.Module]:
    """Submodules of a network by name."""
    known = dict(network.named_modules())
    for name in names:
        if name not in known or not name:
            near = difflib.get_close_matches(name, known, n=5, cutoff=0.4) or [key for key in known if key][:5]
            kind = type(network).__name__
            todo = f"near names: {', '.join(near)}" if near else "the network has no submodules"
            raise ConfigError(where, f"{kind} has no module '{name}'", "names as in named_modules()", todo)
    return {name: known[name] for name in names}
