"""All campaigns by name: what stands before the bar is the module of this folder that has it."""

from importlib import import_module

from fuzz.campaigns import Campaign

KINDS = ("audio", "yamls", "labels", "datasets", "runs", "unpacking")


def campaign(name: str) -> Campaign:
    """Campaign of a name such as `audio/wav`; no other module is imported, as children start anew often."""
    kind = name.partition("/")[0]
    return next(one for one in import_module(f"fuzz.{kind}").CAMPAIGNS if one.name == name)


def names() -> tuple[str, ...]:
    """Names of all campaigns."""
    return tuple(one.name for kind in KINDS for one in import_module(f"fuzz.{kind}").CAMPAIGNS)
