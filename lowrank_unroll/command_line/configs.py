"""Configs: the collection, files, and checks that a file is a config."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lowrank_unroll.command_line.command_parser import did_you_mean
from lowrank_unroll.errors import UsageError
from lowrank_unroll.yaml_files import read_yaml

FLAGS = ("-c", "--config")


def config_folder() -> Path:
    """Return the folder of the collection: in the package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Return the names of the collection's configs, as --config takes them; sweeps are for Weights & Biases."""
    names = sorted(file.relative_to(config_folder()).as_posix() for file in config_folder().glob("*/*.yaml"))
    return [name for name in names if not name.startswith("sweeps/")]


def resolve_configs(arguments: Sequence[str]) -> list[str]:
    """Replace the names that follow --config by the paths of their files, and check these.

    Raises:
        UsageError: if a config is neither a file nor in the collection, or is no config.
    """
    resolved = list(arguments)
    for index, argument in enumerate(arguments):
        if argument.startswith("--config="):
            resolved[index] = f"--config={_checked(argument.removeprefix('--config='))}"
        elif index > 0 and arguments[index - 1] in FLAGS:
            resolved[index] = str(_checked(argument))
    return resolved


def given_configs(arguments: Sequence[str]) -> list[Path]:
    """Return the files of all configs among resolved arguments, in order."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [
        Path(argument.removeprefix("--config="))
        for before, argument in pairs
        if before in FLAGS or argument.startswith("--config=")
    ]


def read_config(path: Path) -> dict[str, Any]:
    """Return the sections of a config.

    Raises:
        UsageError: if it is no YAML, see :func:`lowrank_unroll.yaml_files.read_yaml`, or has no sections; names it.
    """
    config = read_yaml(path, f"--config {path}")
    if not isinstance(config, dict):
        raise UsageError(f"--config {path}: holds {_kind(config)}, expected sections such as `trainer:` and `data:`")
    return config


def _checked(name: str) -> Path:
    path = _find(name)
    read_config(path)
    return path.absolute()  # jsonargparse changes the folder while it reads


def _find(name: str) -> Path:
    if Path(name).exists():
        return Path(name)
    names = config_names()
    if name in names:
        return config_folder() / name
    hint = did_you_mean(name, names) or "; `lowrank-unroll list configs` lists the collection"
    raise UsageError(f"--config {name}: no such file, nor a config of the collection{hint}")


def _kind(config: object) -> str:
    return "nothing" if config is None else f"a {type(config).__name__}"
