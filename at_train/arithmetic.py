"""What a run's precision means to torch; the layout of maps and the Adam that suit a device."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import torch
from torch import nn

from at_data.unswept import unswept

M = TypeVar("M", bound=nn.Module)


@contextmanager
def of(precision: str, device: torch.device) -> Iterator[None]:
    """Within it networks compute in this precision.

    float32 is float32: torch would let convolutions on a GPU round their inputs to ten bits (TF32), and products too
    where somebody told it so. And cuDNN takes the algorithm it always takes for a shape, of those that sum in one
    order, whereas with bfloat16, which is chosen for speed, it tries several at the first step, so that two runs may
    differ in the last digits. There Gram matrices are products of TF32: maps of bfloat16 have seven bits, so on the way
    forward no input is rounded, and sums are kept in float32 as ever.
    """
    rough = precision == "bfloat16"
    with ExitStack() as stack:
        if device.type == "cuda":
            enabled = torch.backends.cudnn.enabled
            stack.enter_context(
                torch.backends.cudnn.flags(enabled=enabled, benchmark=rough, deterministic=not rough, allow_tf32=False)
            )
            stack.enter_context(_products_in_tf32(allowed=rough))
        stack.enter_context(torch.autocast(device.type, torch.bfloat16, enabled=rough))
        yield


@contextmanager
def _products_in_tf32(*, allowed: bool) -> Iterator[None]:
    """Within it products of float32 matrices on a GPU may round their inputs to ten bits, or may not."""
    products = torch.backends.cuda.matmul
    # since torch 2.9 there are two names for it, and the older one is not told where they have been set apart
    named = getattr(products, "fp32_precision", None)
    try:
        before = products.allow_tf32
    except RuntimeError:
        before = named != "tf32"
    products.allow_tf32 = allowed  # which sets both, as some of torch looks at one and some at the other
    try:
        yield
    finally:
        products.allow_tf32 = before
        if named is not None:
            products.fp32_precision = named


def laid_out(module: M, device: torch.device) -> M:
    """The module on a device, channels last, which may take a quarter off a step (docs/performance.md).

    Not on MPS, where torch 2.13 and older may read weights of that layout as if they had the usual one, without a word:
    https://github.com/pytorch/pytorch/issues/192212
    """
    layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    placed: M = module.to(device, memory_format=layout)  # type: ignore[call-overload]
    return placed


def adam(weights: Iterable[nn.Parameter], learning_rate: float, device: torch.device) -> torch.optim.Adam:
    """Adam of one pass over the weights where torch has it, and one that a captured graph may hold on a GPU."""
    graphs = device.type == "cuda"
    fused = device.type in {"cuda", "cpu"}
    learning = [weight for weight in weights if weight.requires_grad]
    with unswept():  # the first one imports torch's compiler
        optimiser = torch.optim.Adam(learning, lr=learning_rate, fused=fused or None, capturable=graphs)
    if graphs:  # torch warns of steps outside a graph; the first ones and every smaller batch are such
        optimiser._warned_capturable_if_run_uncaptured = True  # noqa: SLF001
    return optimiser
