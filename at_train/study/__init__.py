"""A grid of runs, from a YAML file to trained run folders: `load`, `plan`, `run`, in that order.

schema -> grid -> plans -> runner -> worker -> run.fit
"""

from at_train.study.plans import Cell, Plan, Run, State, plan
from at_train.study.runner import Outcome, Progress, Silent, run, share
from at_train.study.schema import Study, load, shipped

__all__ = [
    "Cell",
    "Outcome",
    "Plan",
    "Progress",
    "Run",
    "Silent",
    "State",
    "Study",
    "load",
    "plan",
    "run",
    "share",
    "shipped",
]
