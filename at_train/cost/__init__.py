"""What each strategy costs in time and memory beside training the task alone, and what the paper's equation 4 says.

Paper, section 5.7. Time is that of whole training steps, taken in turn with plain ones by one process. Memory is the
peak of a process of its own for every row, which does nothing else.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from at_data.errors import ConfigError
from at_train import config, networks
from at_train.aggregations import AGGREGATIONS
from at_train.batches import Data
from at_train.config import Settings
from at_train.cost.memory import peak_alone
from at_train.cost.rows import Row, as_csv, row, shown
from at_train.cost.times import seconds
from at_train.cost.work import Case, Work, cases
from at_train.losses import keepable
from at_train.memory_formula import MapShape, compared_bytes, encoder_bytes, map_shapes
from at_train.scores import device_named

__all__ = ["Case", "Row", "Work", "as_csv", "cases", "cost", "shown"]

SHAPE = (126, 129)  # a second of speech as the paper prepares it
CLASSES = 10


def cost(
    settings: Settings | None = None,
    layers: Sequence[str] | None = None,
    dataset: Path | None = None,
    *,
    steps: int = 7,
    device: str = "auto",
    say: Callable[[str], None] = lambda _text: None,
) -> list[Row]:
    """Rows for none, init, freeze, anti at each of `layers` (all, if none is named), anti cached, dual and dann.

    Those with a single row (freeze, anti cached, dual, dann) take the last of the layers. `steps` pairs of turns are
    timed after one that is not. Items are random, of the shape and classes of the dataset, or of the paper's shape and
    ten classes. Of the settings the network, its width, batch size, precision, and how networks are compared count.
    Nothing is learnt, nothing written. `none` and `init` do the same work as the plain steps they are compared with, as
    `dual` does that of anti: their distance from it shows how exact the measurement is.

    ConfigError for unknown names, or when a process for the memory of a row is killed.
    """
    settings = settings or Settings()
    if steps < 1:
        raise ConfigError("steps", f"got {steps}", "1 or more", "7 is a good default")
    config.check_known("network", settings.network, networks.names())
    work = _work(settings, dataset, str(device_named(device)))
    shapes = map_shapes(work.outline(), work.frames, work.bins)
    for layer in layers or ():
        config.check_known("layer", layer, shapes)
    chosen = cases(list(layers or shapes), keepable=keepable(settings.aggregation, settings.variant))
    taken = seconds(work, chosen, steps, say)
    peaks = [peak_alone(work, case, say) for case in chosen]
    predicted = [_predicted(work, case, shapes) for case in chosen]
    return [row(*each, plain=peaks[0]) for each in zip(chosen, taken, peaks, predicted, strict=True)]


def _work(settings: Settings, dataset: Path | None, device: str) -> Work:
    if dataset is None:
        return Work(settings, *SHAPE, CLASSES, device)
    data = Data.open(dataset, settings.target)
    return Work(settings, data.header.frames, data.header.bins, len(data.classes), device)


def _predicted(work: Work, case: Case, shapes: dict[str, MapShape]) -> int | None:
    """Equation 4 for this case, with the Gram matrix of the variant."""
    if case.strategy not in {"anti", "dual"} or case.cached or case.layer is None:
        return None
    settings, shape = work.settings, shapes[case.layer]
    mixed = settings.variant == "as_released" and settings.aggregation == "gram"
    one = torch.zeros(1, *shape)
    vector = AGGREGATIONS[settings.aggregation](one, one)[0].shape[1]
    return encoder_bytes(work.outline()) + compared_bytes(shape, settings.batch_size, vector, mixed=mixed)
