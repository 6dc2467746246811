"""The rooms of the house, and which may look into which: DESIGN section 1, as data."""

import ast
import sys
from pathlib import Path

import pytest

import at_data
import at_train

ROOT = Path(__file__).resolve().parents[1]

# module -> modules of this project it may import; a folder's own __init__ stands for the folder
DATA = {
    "at_data": {  # for type checkers alone
        "at_data.errors",
        "at_data.headers",
        "at_data.manifest",
        "at_data.recordings",
        "at_data.shards",
        "at_data.verify",
    },
    "at_data.__main__": {"at_data.cli", "at_data.endings"},
    "at_data.unswept": set(),
    "at_data.served": {"at_data.build", "at_data.unswept"},
    "at_data.errors": set(),
    "at_data.endings": {"at_data.errors"},
    "at_data.seeds": set(),
    "at_data.recordings": {"at_data.errors"},
    "at_data.scratch": {"at_data.errors"},
    "at_data.rolls": {"at_data.recordings", "at_data.rolls", "at_data.scratch"},
    # a list may be of any length, and in any order
    "at_data.corpora.table": {"at_data.corpora", "at_data.recordings", "at_data.rolls", "at_data.errors"},
    "at_data.corpora": {"at_data.corpora", "at_data.recordings", "at_data.errors", "at_data.word_times"},
    "at_data.word_times": {"at_data.corpora", "at_data.errors"},
    "at_data.stages": set(),
    "at_data.streams": {"at_data.errors"},
    "at_data.containers": {"at_data.errors", "at_data.streams"},
    "at_data.halves": set(),
    "at_data.plain_wav": set(),
    "at_data.sound_files": {"at_data.containers", "at_data.errors", "at_data.streams"},
    "at_data.stages.audio": {
        "at_data.errors",
        "at_data.plain_wav",
        "at_data.recordings",
        "at_data.sound_files",
        "at_data.streams",
    },
    "at_data.stages.bias": {"at_data.recordings", "at_data.rolls", "at_data.seeds", "at_data.errors"},
    "at_data.stages.quiet": set(),
    "at_data.stages.segments": {"at_data.recordings", "at_data.seeds", "at_data.errors"},
    "at_data.stages.mixtures": {"at_data.recordings", "at_data.seeds", "at_data.errors"},
    "at_data.stages.noise": {"at_data.recordings", "at_data.errors"},
    "at_data.stages.noise_files": {"at_data.recordings", "at_data.seeds", "at_data.errors", "at_data.files"},
    "at_data.stages.scaling": {"at_data.errors"},
    "at_data.stages.spectra": {"at_data.recordings", "at_data.errors"},
    "at_data.stages.selection": {"at_data.recordings", "at_data.rolls", "at_data.seeds", "at_data.errors"},
    "at_data.stages.splits": {
        "at_data.stages.splits",
        "at_data.recordings",
        "at_data.rolls",
        "at_data.seeds",
        "at_data.errors",
    },
    "at_data.stages.fingerprints": set(),
    "at_data.stages.overlaps": set(),
    "at_data.stages.duplicates": {"at_data.scratch", "at_data.stages.duplicates"},
    "at_data.stages.leaks": {"at_data.recordings", "at_data.rolls", "at_data.errors"},
    "at_data.synth": {"at_data.synth", "at_data.seeds", "at_data.errors"},
    "at_data.manifest": {"at_data.stages", "at_data.errors", "at_data.files", "at_data.plain_yaml"},
    "at_data.files": set(),
    "at_data.folds": {"at_data.errors", "at_data.manifest", "at_data.stages.splits"},
    "at_data.guard": {"at_data.forks"},
    "at_data.plain_yaml": set(),
    "at_data.parquet": set(),
    "at_data.headers": {"at_data.errors", "at_data.files"},
    # reads what `build` wrote, and builds a sample again
    "at_data.verify": {
        "at_data.build",
        "at_data.cards",
        "at_data.corpora",
        "at_data.errors",
        "at_data.guard",
        "at_data.headers",
        "at_data.manifest",
        "at_data.parquet",
        "at_data.recordings",
        "at_data.rolls",
        "at_data.seeds",
        "at_data.shards",
        "at_data.sound_files",
        "at_data.stages",
        "at_data.unswept",
        "at_data.verify",
    },
    # what padding becomes in a shard is what scaling makes of a magnitude of 0
    "at_data.shards": {
        "at_data.errors",
        "at_data.files",
        "at_data.headers",
        "at_data.shards",
        "at_data.stages.scaling",
    },
    "at_data.cards": {
        "at_data.errors",
        "at_data.headers",
        "at_data.manifest",
        "at_data.shards",
        "at_data.stages.leaks",
    },
    "at_data.fetch": {"at_data.corpora", "at_data.errors", "at_data.fetch", "at_data.files"},
    "at_data.alignment": {
        "at_data.corpora",
        "at_data.errors",
        "at_data.files",
        "at_data.recordings",
        "at_data.stages.audio",
    },
    "at_data.progress": set(),
    "at_data.forks": {"at_data.errors"},
    "at_data.build": {
        "at_data.build",
        "at_data.cards",
        "at_data.containers",
        "at_data.corpora",
        "at_data.errors",
        "at_data.files",
        "at_data.forks",
        "at_data.halves",
        "at_data.headers",
        "at_data.manifest",
        "at_data.parquet",
        "at_data.recordings",
        "at_data.rolls",
        "at_data.scratch",
        "at_data.seeds",
        "at_data.shards",
        "at_data.sound_files",
        "at_data.stages",
        "at_data.unswept",
    },
    "at_data.cli": {
        "at_data",
        "at_data.alignment",
        "at_data.build",
        "at_data.cards",
        "at_data.cli",
        "at_data.corpora",
        "at_data.endings",
        "at_data.errors",
        "at_data.fetch",
        "at_data.folds",
        "at_data.forks",
        "at_data.headers",
        "at_data.manifest",
        "at_data.progress",
        "at_data.shards",
        "at_data.synth",
        "at_data.unswept",
        "at_data.verify",
    },
}
# errors know nothing of data, so every room of at_train may raise them
TRAIN = {
    "at_train": {"at_data", "at_train"},
    "at_train.__main__": {"at_data.endings", "at_train.cli"},
    "at_train.batches": {"at_data.headers", "at_data.shards", "at_train.batches"},
    "at_train.networks": {"at_train.networks"},
    "at_train.aggregations": set(),
    "at_train.similarities": set(),
    "at_train.feature_maps": set(),
    "at_train.losses": {
        "at_train.aggregations",
        "at_train.as_released",
        "at_train.feature_maps",
        "at_train.similarities",
    },
    "at_train.adversaries": {"at_train.batches", "at_train.feature_maps"},
    "at_train.kept_vectors": {"at_train.arithmetic", "at_train.batches", "at_train.losses", "at_train.results"},
    "at_train.arithmetic": {"at_data.unswept"},
    "at_train.saving": set(),
    "at_train.steps": {"at_train.batches", "at_train.kept_vectors", "at_train.loop"},
    "at_train.as_released": {"at_train.aggregations"},
    "at_train.metrics": set(),
    "at_train.results": {"at_train.run_folder"},
    "at_train.checkpoint_checks": set(),
    "at_train.checkpoints": {"at_train.checkpoint_checks", "at_train.networks"},
    "at_train.loop": {"at_train.arithmetic", "at_train.batches", "at_train.losses", "at_train.metrics"},
    "at_train.config": {"at_data.plain_yaml"},
    "at_train.environment": set(),
    "at_train.run_folder": {"at_train.config"},
    "at_train.strategies": {
        "at_train.adversaries",
        "at_train.aggregations",
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.feature_maps",
        "at_train.kept_vectors",
        "at_train.losses",
        "at_train.networks",
        "at_train.run_folder",
        "at_train.seen",
    },
    "at_train.seen": set(),
    "at_train.scores": {
        "at_train.arithmetic",
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.loop",
        "at_train.metrics",
        "at_train.networks",
        "at_train.results",
        "at_train.run_folder",
        "at_train.seen",
    },
    "at_train.training": {
        "at_train.arithmetic",
        "at_train.adversaries",
        "at_train.aggregations",
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.kept_vectors",
        "at_train.loop",
        "at_train.networks",
        "at_train.results",
        "at_train.seen",
        "at_train.similarities",
        "at_train.strategies",
    },
    "at_train.run": {
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.environment",
        "at_train.epochs",
        "at_train.kept_vectors",
        "at_train.loop",
        "at_train.progress",
        "at_train.results",
        "at_train.run_folder",
        "at_train.scores",
        "at_train.seen",
        "at_train.strategies",
        "at_train.training",
    },
    "at_train.progress": set(),
    "at_train.epochs": {
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.kept_vectors",
        "at_train.loop",
        "at_train.progress",
        "at_train.results",
        "at_train.saving",
        "at_train.steps",
        "at_train.training",
    },
    "at_train.report": {
        "at_data.folds",
        "at_train.config",
        "at_train.report",
        "at_train.results",
        "at_train.run_folder",
    },
    # datasets of shipped manifests are found by their digests
    "at_train.study": {
        "at_data.forks",
        "at_data.manifest",
        "at_data.plain_yaml",
        "at_data.unswept",
        "at_train.arithmetic",
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.loop",
        "at_train.networks",
        "at_train.results",
        "at_train.run",
        "at_train.run_folder",
        "at_train.scores",
        "at_train.steps",
        "at_train.strategies",
        "at_train.study",
        "at_train.training",
    },
    "at_train.memory_formula": {"at_train.feature_maps", "at_train.networks"},
    "at_train.cost.served": {"at_data.unswept", "at_train.cost"},
    "at_train.cost": {
        "at_data.forks",
        "at_train.arithmetic",
        "at_train.adversaries",
        "at_train.aggregations",
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.cost",
        "at_train.kept_vectors",
        "at_train.losses",
        "at_train.loop",
        "at_train.memory_formula",
        "at_train.networks",
        "at_train.scores",
        "at_train.steps",
    },
    "at_train.explain": {
        "at_train.batches",
        "at_train.checkpoints",
        "at_train.config",
        "at_train.networks",
        "at_train.results",
        "at_train.run_folder",
        "at_train.scores",
    },
    "at_train.cli": {
        "at_data",
        "at_data.endings",
        "at_data.unswept",
        "at_train.aggregations",
        "at_train.cli",
        "at_train.config",
        "at_train.cost",
        "at_train.explain",
        "at_train.networks",
        "at_train.report",
        "at_train.run",
        "at_train.similarities",
        "at_train.study",
    },
}
TABLE: dict[str, set[str]] = {**DATA, **{name: may | {"at_data.errors"} for name, may in TRAIN.items()}}

# libraries that only these rooms may import, anywhere in a file
ONLY = {
    "h5py": {"at_data.shards", "at_data.verify.shard"},
    "yaml": {"at_data.manifest", "at_data.plain_yaml", "at_train.config"},
    "click": {"at_data.cli", "at_data.endings", "at_data.progress", "at_train.cli"},
    "tqdm": {"at_data.progress", "at_train.cli"},
    "matplotlib": {"at_data.cards", "at_train.report"},
    "librosa": {"at_data.cards", "at_train.report"},
    "soundfile": {"at_data.sound_files", "at_data.stages.audio", "at_data.synth", "at_data.build"},
    "soxr": {"at_data.stages.audio"},
    "hdf5plugin": {"at_data.shards"},
    "cramjam": {"at_data.shards.files"},
    "pyarrow": {"at_data.parquet", "at_data.rolls", "at_data.shards.packed", "at_data.build", "at_data.verify"},
    "captum": {"at_train.explain"},
    "requests": {"at_data.fetch.download"},
    "pooch": {"at_data.fetch"},
}
BANNED_NAMES = {"utils", "util", "helpers", "common", "misc", "core", "base"}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("at_data", "at_train")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def room(module: str) -> str:
    """The row of the table a module belongs to: its own, or that of the nearest folder that has one."""
    while module not in TABLE:
        module = module.rpartition(".")[0]
    return module


def imports(path: Path) -> set[str]:
    """Absolute names a file imports, at any depth of it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES else str(node.module))
    return found


def test_every_row_of_the_table_is_a_room_with_something_in_it() -> None:
    for name in TABLE:
        assert name in MODULES, f"{name} is in the table and not in the house"
        assert len(MODULES[name].read_text()) > 20


def test_every_module_belongs_to_a_row() -> None:
    folders = {
        "at_data.build",
        "at_data.build.estimates",
        "at_data.cli",
        "at_data.corpora",
        "at_data.fetch",
        "at_data.rolls",
        "at_data.shards",
        "at_data.stages.duplicates",
        "at_data.stages.splits",
        "at_data.synth",
        "at_data.verify",
        "at_train.batches",
        "at_train.cli",
        "at_train.cost",
        "at_train.networks",
        "at_train.report",
        "at_train.study",
    }
    for name in MODULES:
        assert name in TABLE or name.rpartition(".")[0] in folders, f"{name} has no row in the table"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_rooms_look_only_where_the_table_lets_them(module: str) -> None:
    allowed = TABLE[room(module)]
    for name in imports(MODULES[module]):
        if name.split(".")[0] in {"at_data", "at_train"}:
            ok = any(name == other or (other != "at_data" and name.startswith(f"{other}.")) for other in allowed)
            assert ok or room(name) == module, f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_libraries_stay_in_their_rooms(module: str) -> None:
    for name in imports(MODULES[module]):
        library = name.split(".")[0]
        if library in ONLY:
            rooms = ONLY[library]
            assert any(module == r or module.startswith(f"{r}.") for r in rooms), f"{module} imports {library}"
        assert not (library == "torch" and module.startswith("at_data")), f"{module} imports torch"


def test_stages_never_import_each_other() -> None:
    for module, path in MODULES.items():
        if module.startswith("at_data.stages."):
            own = ".".join(module.split(".")[:3])  # a stage may be a folder, whose files make one stage
            others = {name for name in imports(path) if name.startswith("at_data.stages") and room(name) != own}
            assert not others, module


def test_what_workers_begin_with_is_for_the_process_they_are_copied_from_alone() -> None:
    for module, path in MODULES.items():  # it keeps what lives there from being searched for cycles
        assert not any(name.endswith(".served") for name in imports(path)), module


def test_no_room_is_called_after_nothing() -> None:
    for module in MODULES:
        assert module.rpartition(".")[2] not in BANNED_NAMES


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_file_says_in_one_line_what_it_is(module: str) -> None:
    text = ast.get_docstring(ast.parse(MODULES[module].read_text()))
    assert text, f"{module} has no docstring"
    assert text.splitlines()[0].rstrip().endswith((".", ":"))


def test_only_two_rooms_know_the_whole_route() -> None:
    # imports of the data road's first and last stages together are the mark of knowing the route
    both = {
        m
        for m in MODULES
        if {"at_data.corpora", "at_data.shards"} <= {room(n) for n in imports(MODULES[m]) if n in MODULES}
    }
    assert {room(m) for m in both} <= {"at_data.build", "at_data.cli"}


def test_public_names_are_there() -> None:
    for package in (at_data, at_train):
        assert package.__version__
        for name in package.__all__:
            assert getattr(package, name) is not None


def test_workers_are_told_to_start_before_the_command_imports_what_takes_long() -> None:
    import subprocess  # noqa: PLC0415

    code = "import sys, at_data.cli; sys.exit(bool({'numpy', 'pydantic', 'tqdm', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_is_quick_because_torch_waits() -> None:
    import subprocess  # noqa: PLC0415

    code = "import sys, at_train.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
