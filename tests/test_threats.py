"""What docs/threats.md promises of the code as a whole: no code from data, and bounds that are as it says."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("at_data", "at_train") for path in (ROOT / package).rglob("*.py"))

# what makes code or objects of bytes; UnpicklingError is an exception, and all that may be had of pickle
NEVER_IMPORTED = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__"}
NEVER_ATTRIBUTES = {
    *("os.system", "os.popen", "pd.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
}
LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader", "SafeLoader"}


def problems(source: str) -> list[str]:
    """What in a file could make code of data, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {a.name}" for a in node.names if a.name.split(".")[0] in NEVER_IMPORTED]
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in NEVER_IMPORTED:
            found += [f"{node.lineno}: {node.module}.{a.name}" for a in node.names if a.name != "UnpicklingError"]
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {problem}" for problem in _of_call(node)]
        elif isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            if any("Loader" in base and base not in LOADERS for base in bases):
                found.append(f"{node.lineno}: a loader from {bases}")
    return found


def _of_call(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    found = []
    if name in NEVER_CALLED or name in NEVER_ATTRIBUTES or name.endswith((".read_pickle", ".to_pickle")):
        found.append(name)
    if name == "torch.load" and given.get("weights_only") != "True":
        found.append("torch.load without weights_only=True")
    if name in {"np.load", "numpy.load"} and given.get("allow_pickle") != "False":
        found.append("np.load without allow_pickle=False")
    if given.get("shell") not in {None, "False"}:
        found.append(f"{name} with a shell")
    if given.get("trust_remote_code") not in {None, "False"}:
        found.append(f"{name} with trust_remote_code")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_makes_code_or_objects_of_data(path):
    assert problems(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "import yaml; yaml.load(text, Loader=yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path)",
        "subprocess.run(line, shell=True)",
        "class _Loader(yaml.Loader): pass",
    ],
)
def test_what_is_looked_for_is_found(line):
    assert problems(line)


DOCUMENT = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
BOUNDS = re.findall(r"^\| `([\w.]+)\.([A-Z_]+)` \| ([\d,.]+) ", DOCUMENT, re.MULTILINE)


def test_the_document_states_its_bounds():
    assert len(BOUNDS) >= 15


@pytest.mark.parametrize(("module", "constant", "stated"), BOUNDS, ids=[".".join(bound[:2]) for bound in BOUNDS])
def test_a_stated_bound_is_the_one_in_the_code(module, constant, stated):
    assert getattr(importlib.import_module(module), constant) == float(stated.replace(",", ""))


def test_tests_that_the_document_names_are_there():
    named = set(re.findall(r"`(tests/[\w/.]+)`", DOCUMENT))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
