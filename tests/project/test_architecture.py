"""Imports run one way, so that each room can be understood without the rooms above it."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LEAVES = {
    "deprecation",
    "curves",
    "sample",
    "files",
    "names",
    "errors",
    "checks",
    "yaml_files",
    "terminal",
    "torch_private",
    "extras",
    "__version__",
}
MAY_IMPORT = {
    "linalg": set(),
    "sampling": set(),
    "metrics": set(),
    "operators": {"linalg"},
    "prox": {"linalg", "operators"},
    "networks": {"linalg", "operators", "prox"},
    "interop": {"linalg", "operators", "prox", "networks"},
    "runs": set(),
    "weights": {"operators", "prox", "networks", "runs"},
    "modules": {"linalg", "operators", "prox", "networks", "sampling", "metrics", "runs", "weights"},
    "pictures": {"metrics"},
    "writers": {"pictures"},
    "predictions": {"writers"},
    "reports": {"linalg", "prox", "metrics", "pictures"},
    "studies": {"reports"},
    "notebook": {"operators", "modules", "pictures", "weights"},
    "callbacks": {"prox", "metrics", "modules", "pictures", "reports", "runs", "writers"},
    "command_line": {
        *("prox", "networks", "sampling", "metrics", "callbacks", "modules", "reports", "runs", "studies", "weights"),
        "datamodules",
    },
    "datamodules": {"operators", "sampling"},
    "deprecation": set(),
    "curves": set(),
    "sample": set(),
    "files": set(),
    "names": set(),
    "errors": set(),
    "checks": set(),
    "yaml_files": set(),
    "terminal": set(),
    "torch_private": set(),
    "extras": set(),
}
DATA_MAY_IMPORT = {
    "loading": set(),
    "photographs": {"loading"},
    "spectral": {"loading"},
    "videos": {"loading", "photographs"},
    "measured": {"loading"},
    "dynamic_mri": {"loading", "measured"},
    "denoising": {"loading", "dynamic_mri"},
    "scanners": {"loading", "measured", "dynamic_mri"},
}


def imported_names(file):
    """The dotted names that a file imports, each split at its dots."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
        yield from (name.split(".") for name in names)


def imported_rooms(file):
    """The rooms of this project that a file imports from."""
    for package, *rest in imported_names(file):
        if package == "lowrank_unroll" and rest:
            yield rest[0]
        elif package == "datamodules":
            yield "datamodules"


def imported_data_rooms(file):
    """The rooms of `datamodules` that a file imports from; what it takes from the package itself is in none."""
    for package, *rest in imported_names(file):
        if package == "datamodules":
            yield rest[0] if rest else package


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    folder = CHECKOUT / "datamodules" if room == "datamodules" else CHECKOUT / "lowrank_unroll" / room
    files = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert files
    for file in files:
        assert set(imported_rooms(file)) <= {room} | MAY_IMPORT[room] | LEAVES, file


@pytest.mark.parametrize("room", DATA_MAY_IMPORT)
def test_imports_of_data_run_one_way(room):
    files = list((CHECKOUT / "datamodules" / room).rglob("*.py"))
    assert files
    for file in files:
        assert set(imported_data_rooms(file)) <= {room} | DATA_MAY_IMPORT[room], file


def test_every_room_has_its_rule():
    rooms = {file.stem for file in (CHECKOUT / "lowrank_unroll").iterdir() if file.suffix in {"", ".py"}}
    assert {room for room in rooms if not room.startswith("_")} - {"configs"} == MAY_IMPORT.keys() - {"datamodules"}


def test_every_data_room_has_its_rule():
    files = [file.relative_to(CHECKOUT / "datamodules") for file in (CHECKOUT / "datamodules").rglob("*.py")]
    assert {file.parts[0] for file in files} - {"__init__.py"} == DATA_MAY_IMPORT.keys()


def test_imports_are_absolute_and_named():
    for file in [*(CHECKOUT / "lowrank_unroll").rglob("*.py"), *(CHECKOUT / "datamodules").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, file
                assert node.names[0].name != "*", file
