"""Task datasets in, networks that ignore what another network knows out."""

from typing import TYPE_CHECKING, Any

from at_data import __version__

if TYPE_CHECKING:
    from at_train.losses import AntiTransfer

__all__ = ["AntiTransfer", "__version__"]


def __getattr__(name: str) -> Any:
    """Public name that needs torch, imported when it is first asked for."""
    if name == "AntiTransfer":
        from at_train.losses import AntiTransfer  # noqa: PLC0415 - torch, which `at-train --help` does not need

        return AntiTransfer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
