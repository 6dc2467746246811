"""Where the seconds of a build went, as a table."""

from collections.abc import Mapping


def table(spent: Mapping[str, float], spent_by_workers: Mapping[str, float], workers: int) -> str:
    """Seconds of every stage, longest first: of all workers together, and of the process that leads them.

    What the leader spends waiting for its workers is named so; the rest of its time they stand still.
    """
    sections = [
        (f"{workers} worker{'s' if workers > 1 else ''}, added up", spent_by_workers),
        ("the process that leads them", spent),
    ]
    return "\n".join(line for title, stages in sections if stages for line in _section(title, stages))


def _section(title: str, stages: Mapping[str, float]) -> list[str]:
    total = sum(stages.values())
    ordered = sorted(stages.items(), key=lambda stage: -stage[1])
    width = max(map(len, [title, *stages]))
    lines = [f"{title:{width}}  {total:9.2f} s"]
    lines += [f"  {name:{width - 2}}  {took:9.2f} s  {took / (total or 1):4.0%}" for name, took in ordered]
    return lines
