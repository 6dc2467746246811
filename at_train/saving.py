"""Work on files at the end of an epoch, on a GPU's run by a background thread while the next epoch trains."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass, replace
from types import TracebackType
from typing import Any

import torch

COPIES = 2  # of the weights that must fit into free GPU memory before one is taken there


class Saver(AbstractContextManager["Saver"]):
    """One job after the other, at most one in flight. What a job raises is raised by the next call or at the end.

    Leaving waits for the job in flight, also when something else has gone wrong. Without `background` a job is done at
    once: on a CPU it would only take time and memory from training.
    """

    def __init__(self, *, background: bool) -> None:
        self.background = background
        self._thread = ThreadPoolExecutor(1, "saving")
        self._job: Future[None] | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done, after the one before it."""
        self.wait()
        if self.background:
            self._job = self._thread.submit(job)
        else:
            job()

    def wait(self) -> None:
        """Nothing, when the job in flight is done; its error, if it has one."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()


def snapshot(value: Any) -> Any:
    """The same with every tensor copied, so that training may go on: on its device where there is room."""
    tensors = list(_tensors(value))
    size = sum(tensor.nbytes for tensor in tensors)
    on_gpu = [tensor.device for tensor in tensors if tensor.device.type == "cuda"]
    crowded = bool(on_gpu) and COPIES * size > torch.cuda.mem_get_info(on_gpu[0])[0]
    return _mapped(
        value, lambda tensor: tensor.detach().cpu() if crowded and tensor.is_cuda else tensor.detach().clone()
    )


def on_host(value: Any) -> Any:
    """The same with every tensor on the CPU, copied on a stream of its own, which training does not wait for.

    The tensors must not change meanwhile.
    """
    on_gpu = [tensor.device for tensor in _tensors(value) if tensor.device.type == "cuda"]
    if not on_gpu:
        return value
    side = torch.cuda.Stream(on_gpu[0])  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.default_stream(on_gpu[0]))
    with torch.cuda.stream(side):
        return _mapped(value, lambda tensor: tensor.cpu())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor in plain containers."""
    if isinstance(value, torch.Tensor):
        yield value
    elif is_dataclass(value):
        yield from _tensors([getattr(value, part.name) for part in fields(value)])
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _tensors(held)


def _mapped(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """Plain containers with their tensors changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _mapped(held, change) for name, held in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{part.name: _mapped(getattr(value, part.name), change) for part in fields(value)})
    if isinstance(value, list | tuple):
        return type(value)(_mapped(held, change) for held in value)
    return value
