"""Corpora of recordings in, task datasets out.

Public names, imported when they are first asked for: `AtError`, `Dataset`, `Header`, `Manifest`, `Recording`,
`load_manifest`, `open_dataset`, `verify_dataset`; building is `at_data.build.build`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker sees; at run time `__getattr__` imports them
    from at_data.errors import AtError
    from at_data.headers import Header
    from at_data.manifest import Manifest
    from at_data.manifest import load as load_manifest
    from at_data.recordings import Recording
    from at_data.shards import Dataset, open_dataset
    from at_data.verify import verify as verify_dataset

__version__ = "0.1.0"

_PUBLIC = {
    "AtError": ("at_data.errors", "AtError"),
    "Dataset": ("at_data.shards", "Dataset"),
    "Header": ("at_data.headers", "Header"),
    "Manifest": ("at_data.manifest", "Manifest"),
    "Recording": ("at_data.recordings", "Recording"),
    "load_manifest": ("at_data.manifest", "load"),
    "open_dataset": ("at_data.shards", "open_dataset"),
    "verify_dataset": ("at_data.verify", "verify"),
}
__all__ = [
    "AtError",
    "Dataset",
    "Header",
    "Manifest",
    "Recording",
    "__version__",
    "load_manifest",
    "open_dataset",
    "verify_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'at_data' has no attribute '{name}'")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
