"""Imports run one way, so that each room can be understood without the rooms above it."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
LEAVES = {"sample", "files", "__version__"}
MAY_IMPORT = {
    "linalg": set(),
    "sampling": set(),
    "metrics": set(),
    "operators": {"linalg"},
    "prox": {"linalg", "operators"},
    "networks": {"linalg", "operators", "prox"},
    "modules": {"linalg", "operators", "prox", "networks", "sampling", "metrics"},
    "callbacks": {"linalg", "prox", "metrics", "modules", "pictures", "predictions", "reports"},
    "pictures": {"modules"},
    "predictions": {"pictures"},
    "reports": set(),
    "datamodules": {"operators", "sampling"},
    "sample": set(),
    "files": set(),
}


def imported_rooms(file):
    """The rooms of this project that a file imports from."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
        for name in names:
            package, *rest = name.split(".")
            if package == "lowrank_unroll" and rest:
                yield rest[0]
            elif package == "datamodules":
                yield "datamodules"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    folder = CHECKOUT / "datamodules" if room == "datamodules" else CHECKOUT / "lowrank_unroll" / room
    files = list(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    assert files
    for file in files:
        assert set(imported_rooms(file)) <= {room} | MAY_IMPORT[room] | LEAVES, file


def test_every_room_has_its_rule():
    rooms = {file.stem for file in (CHECKOUT / "lowrank_unroll").iterdir() if file.suffix in {"", ".py"}}
    assert {room for room in rooms if not room.startswith("_")} - {"configs"} == MAY_IMPORT.keys() - {"datamodules"}


def test_imports_are_absolute_and_named():
    for file in [*(CHECKOUT / "lowrank_unroll").rglob("*.py"), *(CHECKOUT / "datamodules").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, file
                assert node.names[0].name != "*", file
