"""The HDF5 shards of a dataset: written and read."""

from at_data.shards.extents import Extents, padding
from at_data.shards.files import check_compression, in_one_piece, member, reading, sha256
from at_data.shards.readers import TEXTS, UNKNOWN, Dataset, SplitReader, open_dataset
from at_data.shards.writing import write_shard

__all__ = [
    "TEXTS",
    "UNKNOWN",
    "Dataset",
    "Extents",
    "SplitReader",
    "check_compression",
    "in_one_piece",
    "member",
    "open_dataset",
    "padding",
    "reading",
    "sha256",
    "write_shard",
]
