"""Which recordings are too quiet to be used."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Faint(BaseModel):
    """Recordings whose highest sample is no higher than `drop_at_most` (full scale is 1) are left out.

    `peak` is the largest magnitude, `largest_sample` the largest value with its sign, which the paper's authors took:
    of a recording that swings further down than up it is the smaller of the two.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    measure: Literal["peak", "largest_sample"]
    drop_at_most: Annotated[float, Field(ge=0, lt=1)]


Quiet = Annotated[
    Annotated[Literal["keep"], Tag("<keep>")] | Annotated[Faint, Tag("<faint>")],
    Discriminator(
        lambda value: "<faint>" if isinstance(value, (dict, BaseModel)) else "<keep>" if value == "keep" else None,
        custom_error_type="no_branch",
        custom_error_message="expected 'keep' or a mapping of measure, drop_at_most",
    ),
]


def reason(samples: Float32[np.ndarray, "time"], rule: Faint) -> str | None:
    """Why a waveform is left out, None where it is loud enough."""
    highest = float(samples.max())
    if rule.measure == "peak":
        highest = max(highest, -float(samples.min()))
    if highest > rule.drop_at_most:
        return None
    return f"{rule.measure.replace('_', ' ')} {highest:.4g}, not above {rule.drop_at_most:g}"
