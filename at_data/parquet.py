"""Parquet files by their paths, whatever those are called.

pyarrow takes the beginning of a relative path for a home folder (`~`) or for an address (`s3:`, `run:`).
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """What writes tables of this schema into a file, compressed; to be used in a `with`."""
    return pq.ParquetWriter(path.absolute(), schema, compression="zstd")


def read(path: Path) -> pa.Table:
    """All that is in a file; OSError or pyarrow's own errors where it is none."""
    return pq.read_table(path.absolute())
