"""Items on a device, by the fastest way that the device and the size of the split allow."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int64, Num

from at_train.batches.data import Split

AHEAD = 2  # batches that wait for the GPU while the next is being read
GPU_SHARE = 0.5  # of the free GPU memory that one split may fill
ROWS_PER_UPLOAD = 256

T = TypeVar("T")
Chunk = Int64[np.ndarray, "_"]  # places or rows of one batch


def values(
    split: Split, chunks: Sequence[Chunk], device: torch.device, read: Iterable[Chunk] | None = None
) -> Iterator[Float32[torch.Tensor, "batch frames bins"]]:
    """Items at the places of each chunk, as they are stored, in single precision; `read` are the same chunks.

    It is gone through as items are read from disk, and not at all where the device holds them.
    """
    if not stays_on_disk(split, device):
        found = _resident(split, chunks, device)
    elif device.type == "cuda":
        found = _pinned(split, read or chunks, device)
    else:
        found = _read(split, read or chunks, device)
    return (block.float() for block in found)


def stays_on_disk(split: Split, device: torch.device) -> bool:
    """Whether items are read when they are needed: always without a GPU, and for a split that would crowd it."""
    if device.type != "cuda" or str(device) in split.held:
        return device.type != "cuda"
    frames = int(split.reader.real.lengths[split.rows].sum())
    size = frames * split.reader.shape[1] * split.reader.dtype.itemsize
    return size > GPU_SHARE * torch.cuda.mem_get_info(device)[0]


def _read(split: Split, chunks: Iterable[Chunk], device: torch.device) -> Iterator[torch.Tensor]:
    """Items read when they are asked for. Torch widens half precision twice to four times as fast as numpy does.

    What is read in half precision is read into the same memory again and again: the system has none to clear.
    """
    half = split.reader.dtype == np.float16
    memory = np.empty((0, *split.reader.shape), split.reader.dtype)
    for chunk in chunks:
        if half and len(chunk) > len(memory):
            memory = np.empty((len(chunk), *split.reader.shape), split.reader.dtype)
        block = split.reader.read(split.rows[chunk], memory[: len(chunk)] if half else None)
        yield torch.from_numpy(block).float().to(device)


def _resident(split: Split, chunks: Sequence[Chunk], device: torch.device) -> Iterator[torch.Tensor]:
    """Items out of the copy of the whole split on the device, which the first call makes.

    Places of all chunks are sent before the first: to send them is to wait until the device has done its work so far.
    """
    if str(device) not in split.held:
        split.held[str(device)] = _upload(split, device)
    held = split.held[str(device)]
    places = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *chunks])).to(device)
    heres = torch.split(places, [len(chunk) for chunk in chunks])
    if split.reader.padding is None:
        for here in heres:
            yield held[here]
        return
    real = split.reader.real
    starts, lengths = (torch.from_numpy(column[split.rows]).to(device) for column in (real.starts, real.lengths))
    firsts = lengths.cumsum(0) - lengths
    for here in heres:
        yield _spread(held, firsts[here], starts[here], lengths[here], split.reader.shape[0])


def _upload(split: Split, device: torch.device) -> Num[torch.Tensor, "..."]:
    """All items; or their real frames, and one of padding after them."""
    reader, dtype = split.reader, _torch_dtype(split)
    parts = [split.rows[start : start + ROWS_PER_UPLOAD] for start in range(0, len(split), ROWS_PER_UPLOAD)]
    if reader.padding is None:
        whole = torch.empty((len(split), *reader.shape), dtype=dtype, device=device)
        read = reader.read
    else:
        frames = int(reader.real.lengths[split.rows].sum())
        whole = torch.full((frames + 1, reader.shape[1]), float(reader.padding), dtype=dtype, device=device)
        read = reader.read_real
    done = 0
    for rows in parts:
        block = torch.from_numpy(read(rows))
        whole[done : done + len(block)] = block.to(device)
        done += len(block)
    return whole


def _pinned(split: Split, chunks: Iterable[Chunk], device: torch.device) -> Iterator[torch.Tensor]:
    """Items read and copied by one background thread on a stream of its own, so that neither holds up the network.

    torch keeps released pinned blocks and hands them out again when the copies out of them are done, so two or three
    blocks go round. Padding that is not stored is not copied either: the device fills it in.
    """
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    put = _put if split.reader.padding is None else _put_real

    def copy(chunk: Chunk) -> tuple[torch.Tensor, torch.cuda.Event]:
        with torch.cuda.stream(side):
            return put(split, split.rows[chunk], device), side.record_event()

    for block, done in ahead(partial(copy, chunk) for chunk in chunks):
        now = torch.cuda.current_stream(device)
        now.wait_event(done)
        block.record_stream(now)
        yield block


def _put(split: Split, rows: Chunk, device: torch.device) -> torch.Tensor:
    block = torch.empty((len(rows), *split.reader.shape), dtype=_torch_dtype(split), pin_memory=_pins(device))
    split.reader.read(rows, block.numpy())
    return block.to(device, non_blocking=True)


def _put_real(split: Split, rows: Chunk, device: torch.device) -> torch.Tensor:
    reader, real = split.reader, split.reader.real
    assert reader.padding is not None
    places = torch.empty((2, len(rows)), dtype=torch.int64, pin_memory=_pins(device))
    places[0], places[1] = torch.from_numpy(real.starts[rows]), torch.from_numpy(real.lengths[rows])
    frames = int(places[1].sum())
    block = torch.empty((frames + 1, reader.shape[1]), dtype=_torch_dtype(split), pin_memory=_pins(device))
    reader.read_real(rows, block[:frames].numpy())
    block[frames] = float(reader.padding)
    starts, lengths = places.to(device, non_blocking=True)
    return _spread(block.to(device, non_blocking=True), lengths.cumsum(0) - lengths, starts, lengths, reader.shape[0])


def _spread(
    frames: Num[torch.Tensor, "real bins"],
    firsts: Int64[torch.Tensor, "batch"],
    starts: Int64[torch.Tensor, "batch"],
    lengths: Int64[torch.Tensor, "batch"],
    length: int,
) -> Num[torch.Tensor, "batch frames bins"]:
    """Items of `length` frames out of real ones; the last of all frames stands wherever an item has none of its own."""
    places = torch.arange(length, device=frames.device) - starts[:, None]
    own = (places >= 0) & (places < lengths[:, None])
    chosen = torch.where(own, firsts[:, None] + places, len(frames) - 1)
    return frames[chosen]


def ahead(tasks: Iterable[Callable[[], T]], depth: int = AHEAD) -> Iterator[T]:
    """Results of the tasks in their order, run by one background thread at most `depth` ahead of who asks.

    What a task raises is raised here; leaving early runs no more than the tasks that already wait.
    """
    with ThreadPoolExecutor(1, "batches ahead") as thread:
        waiting: deque[Future[T]] = deque()
        for task in tasks:
            waiting.append(thread.submit(task))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def read_ahead(split: Split, windows: Sequence[Chunk], batch_size: int) -> Iterator[Chunk]:
    """Batches of places, window after window; the system reads a window from disk while the one before it is used."""
    places = np.concatenate([np.empty(0, np.int64), *windows])
    begins = np.cumsum([0] + [len(window) for window in windows]).tolist()
    asked = 0
    with ThreadPoolExecutor(1, "read ahead") as thread:
        for start in range(0, len(places), batch_size):
            chunk = places[start : start + batch_size]
            while asked < len(windows) and begins[max(0, asked - 1)] < start + len(chunk):
                thread.submit(split.reader.ask_for, split.rows[windows[asked]])
                asked += 1
            yield chunk


def _pins(device: torch.device) -> bool:
    return device.type == "cuda"


def _torch_dtype(split: Split) -> torch.dtype:
    return torch.from_numpy(np.empty(0, split.reader.dtype)).dtype
