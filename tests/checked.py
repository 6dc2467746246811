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

    Jaxtyping's hook finds the functions. What it would have them do at each call, to bind the arguments and check them
    twice, took a third of the suite: here beartype checks them, once, within axes of the call's own where there are
    arrays.
    """
    axes = jaxtyping.jaxtyped

    def jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
        def checked(of: Any) -> Any:
            if inspect.isclass(of):
                if dataclasses.is_dataclass(of):
                    of.__init__ = checked(of.__init__)
                return of
            return _within(axes, typechecker(of)) if _names_arrays(of) else typechecker(of)

        return checked

    jaxtyping.jaxtyped = jaxtyped  # what the hook decorates everything with
    jaxtyping.install_import_hook(PACKAGES, "beartype.beartype")


def _within(axes: Any, function: Any) -> Any:
    """A function in whose annotations an axis means the same wherever it is named."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with axes("context"):
            return function(*args, **kwargs)

    return call


def _names_arrays(function: Any) -> bool:
    return any(map(_is_array, function.__annotations__.values()))


def _is_array(hint: Any) -> bool:
    """Whether a hint is of arrays, or of what holds them; one in quotes may be."""
    if isinstance(hint, str):
        return True
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_is_array, get_args(hint)))
