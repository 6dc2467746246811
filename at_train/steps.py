"""A training step, and one that a GPU replays: captured once, fed by buffers that stay where they are.

At the paper's batch size a GPU waits for Python, which starts some three hundred kernels a step. A captured step is
started once; its kernels are the same, and so is what they compute.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from at_train.batches import Batch
from at_train.kept_vectors import Comparison
from at_train.loop import Learn

WARM_UP = 3  # steps before a capture: libraries and the optimiser then have what they set aside once
# torch's names for the end of allocating for a capture: since 2.8, and before
ENDS = ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool")
TARGET, VALUES, NUISANCE, VECTOR = "target", "values", "nuisance ", "vector "


@runtime_checkable
class Recorder(Protocol):
    """What can run work once and then again as it was."""

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        """Result of the work, done where it will be recorded."""

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What does the recorded work at each call, the first one included; recording itself does nothing."""


class Graphs:
    """Recorder of CUDA graphs, on a stream of its own as torch asks for.

    Its recordings share their memory: what one has left there is gone when another is replayed.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.pool = torch.cuda.graph_pool_handle()

    def aside(self, work: Callable[[], Tensor]) -> Tensor:
        """Result of the work, which the current stream waits for."""
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            found = work()
        torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)
        return found

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Replay of the work's kernels; the tensor is the same each time."""
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.stream.device)
        try:
            # of this thread alone: another one may be copying batches to the device, or weights from it
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                found = work()
        except BaseException:
            self._put_back(before)
            raise

        def replay() -> Tensor:
            graph.replay()
            return found

        return replay

    def _put_back(self, stream: torch.cuda.Stream) -> None:
        """Torch as it was before a capture that did not end well. Never tried on a GPU.

        Torch 2.13.0 keeps what the capture took until the process ends: https://github.com/pytorch/pytorch/pull/190348
        It leaves its own stream the current one; its allocator waiting for the capture to end, which keeps blocks that
        other streams used, and holding what the capture took; and its generator marked as one that a capture draws
        from, so that the next dropout would be refused, which a copy of the generator's state is not.
        """
        torch.cuda.set_stream(stream)
        index = self.stream.device_index
        inner: Any = torch._C  # noqa: SLF001 - torch has no other way to it
        end = next(getattr(inner, name) for name in ENDS if hasattr(inner, name))
        with suppress(RuntimeError):  # it has ended
            end(index, self.pool)
            inner._cuda_releasePool(index, self.pool)  # noqa: SLF001
        generator = torch.cuda.default_generators[index]
        generator.graphsafe_set_state(generator.clone_state())


class Captured:
    """Training steps of whole batches from a recording, all others as they are.

    Steps before the recording are real ones, so nothing is learnt twice or put back. Where a step cannot be captured,
    `say` tells so once, with what the step itself raised, and every step is done as it is.
    """

    def __init__(
        self,
        learn: Learn,
        batch_size: int,
        recorder: Recorder,
        comparison: Comparison | None = None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.learn = learn
        self.batch_size = batch_size
        self.recorder: Recorder | None = recorder
        self.comparison = comparison
        self.say = say
        self.before = 0
        self.buffers: dict[str, Tensor] = {}
        self.replay: Callable[[], Tensor] | None = None

    def __call__(self, batch: Batch) -> Float[Tensor, "5"]:
        """What `loop` records of the step on this batch; the network has learnt."""
        if self.recorder is None:
            return self.learn(batch)
        if len(batch.ids) != self.batch_size:
            return self._smaller(batch)
        if self.before < WARM_UP:
            self.before += 1
            return self.recorder.aside(lambda: self.learn(batch))
        inputs = self._inputs(batch)
        if self.replay is None:
            self.replay = self._recorded(self.recorder, inputs)
        if self.replay is None:
            return self.learn(batch)
        for name, tensor in inputs.items():
            self.buffers[name].copy_(tensor, non_blocking=True)
        return self.replay().clone()

    def _smaller(self, batch: Batch) -> Float[Tensor, "5"]:
        """The step on a batch that no recording is of: memory that a recording holds is not free for it."""
        try:
            return self.learn(batch)
        except torch.OutOfMemoryError:
            if self.replay is None:
                raise
        self.recorder = self.replay = None
        self.buffers = {}
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.say("steps are captured no more: there is no memory for a smaller batch beside the recording")
        return self.learn(batch)

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        """Every tensor that differs from batch to batch."""
        vectors = self.comparison.kept.of(batch) if self.comparison and self.comparison.kept else None
        nuisances = {f"{NUISANCE}{name}": codes for name, codes in batch.nuisances.items()}
        kept = {f"{VECTOR}{name}": each for name, each in (vectors or {}).items()}
        return {VALUES: batch.values, TARGET: batch.target, **nuisances, **kept}

    def _recorded(self, recorder: Recorder, inputs: dict[str, Tensor]) -> Callable[[], Tensor] | None:
        """The recording, None where there cannot be one."""
        self.buffers = {name: tensor.clone() for name, tensor in inputs.items()}
        try:
            return recorder.record(self._work)
        except RuntimeError as error:
            self.recorder = None
            # the end of a capture in which something failed fails too, and says nothing of what it was
            lines = str(error.__context__ or error).strip().splitlines()
            self.say(f"steps are not captured: {lines[0] if lines else 'torch does not say why'}")
            return None

    def _work(self) -> Tensor:
        """The step on what the buffers hold."""
        batch = Batch(self.buffers[VALUES], self.buffers[TARGET], self._named(NUISANCE), [""] * self.batch_size)
        vectors = self._named(VECTOR)
        if self.comparison is None or not vectors:
            return self.learn(batch)
        with self.comparison.answered(vectors):
            return self.learn(batch)

    def _named(self, kind: str) -> dict[str, Tensor]:
        return {name.removeprefix(kind): each for name, each in self.buffers.items() if name.startswith(kind)}
