"""Types of both packages, and the axes of arrays, checked at every call while the tests run."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args

import jaxtyping

PACKAGES = ["at_data", "at_train"]


def check_calls() -> None:
    """Have every function of the packages check what it takes and gives; before either package is imported.

    Jaxtyping's hook finds the functions. What it would have them do at each call, bind the arguments and check them
    twice, takes longer than most calls: here beartype checks them, once, within axes of the call's own where there are
    arrays. That is not for generators, which beartype checks when they are asked, nor for hints in quotes.
    """
    as_jaxtyping_does = jaxtyping.jaxtyped

    def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
        def checked(of: Any) -> Any:
            if inspect.isclass(of):
                if dataclasses.is_dataclass(of):
                    of.__init__ = checked(of.__init__)
                return of
            hints = list(of.__annotations__.values())
            if inspect.isgeneratorfunction(of) or any(isinstance(hint, str) for hint in hints):
                return as_jaxtyping_does(of, typechecker=typechecker)
            once = typechecker(of)
            return _within(as_jaxtyping_does, once) if any(map(_is_array, hints)) else once

        return checked

    jaxtyping.jaxtyped = jaxtyped  # what the hook decorates everything with
    jaxtyping.install_import_hook(PACKAGES, "beartype.beartype")


def _within(axes_of: Any, function: Any) -> Any:
    """A function in whose annotations an axis means the same wherever it is named."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with axes_of("context"):
            return function(*args, **kwargs)

    return call


def _is_array(hint: Any) -> bool:
    """Whether a hint is of arrays, or of what holds them."""
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_is_array, get_args(hint)))
