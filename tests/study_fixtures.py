"""A study's folder with made-up results, and its report, made once for all tests that ask for them."""

import json

import pytest
from made_runs import ANTI, INIT, write_run
from made_studies import EMOTION, LAYERS, SEEDS, SESSION, WORD, entry, names_in, trained

from at_train.report import report


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Emotion, plain and unlike two networks at three layers, five seeds; a torn, a failed and a planned run."""
    root = tmp_path_factory.mktemp("study")
    others = [trained(root, SESSION), trained(root, WORD)]
    for seed in SEEDS:
        write_run(root / "runs", seed, dataset=EMOTION)
        for other in others:
            write_run(root / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **INIT)
            for layer in LAYERS:
                how = ANTI | {"layers": [layer]}
                write_run(root / "runs", seed, dataset=EMOTION, orthogonal=entry(other), **how)
    (root / "runs" / "torn").mkdir()
    (root / "failed").mkdir()
    (root / "failed" / "gone.json").write_text('{"error": "out of <memory>"}')
    (root / "studies").mkdir()
    cells = [{"run": name} for name in ("gone", "planned", *names_in(root / "runs"))]
    facts = {"name": "table4_emotion", "entries": [{"name": "anti", "runs": cells}]}
    facts["orthogonal"] = [{"run": other.name} for other in others]
    facts["select"] = {"rule": "best_validation_accuracy", "over": "layers", "entries": []}
    (root / "studies" / "table4_emotion.json").write_text(json.dumps(facts))
    return root


@pytest.fixture(scope="session")
def written(study, tmp_path_factory):
    """The report of that study."""
    return report([study], tmp_path_factory.mktemp("out") / "report")
