"""Types of both packages, and the axes of arrays, checked at every call while the tests run."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, get_args

import beartype
import jaxtyping

PACKAGES = ["at_data", "at_train"]


def check_calls() -> None:
    """Have every function of the packages check what it takes and gives; before either package is imported.

    Jaxtyping binds the arguments of every call to learn the axes. Of a function that names no array, which most calls
    are of, beartype checks as much in a tenth of the time.
    """
    with_axes = jaxtyping.jaxtyped

    def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
        def checked(of: Any) -> Any:
            if inspect.isclass(of):
                if dataclasses.is_dataclass(of):
                    of.__init__ = checked(of.__init__)
                return of
            return with_axes(of, typechecker=typechecker) if _names_arrays(of) else beartype.beartype(of)

        return checked

    jaxtyping.jaxtyped = jaxtyped  # what the hook decorates every function with
    jaxtyping.install_import_hook(PACKAGES, "beartype.beartype")


def _names_arrays(function: Any) -> bool:
    return any(map(_is_array, function.__annotations__.values()))


def _is_array(hint: Any) -> bool:
    """Whether a hint is of arrays, or of what holds them; one in quotes may be."""
    if isinstance(hint, str):
        return True
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_is_array, get_args(hint)))
