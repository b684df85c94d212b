"""Finding configs, in files and in the collection, and refusing what is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lowrank_unroll.command_line.words import nearest
from lowrank_unroll.errors import UsageError
from lowrank_unroll.yaml_files import read_yaml

FLAGS = ("-c", "--config")


def config_folder() -> Path:
    """Where the collection of configs lies: in the package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names of the collection's configs, as --config takes them; sweeps are for Weights & Biases."""
    names = sorted(file.relative_to(config_folder()).as_posix() for file in config_folder().glob("*/*.yaml"))
    return [name for name in names if not name.startswith("sweeps/")]


def find_configs(words: Sequence[str]) -> list[str]:
    """Replace the names of the collection's configs by their paths, wherever --config is given, and check the files.

    Raises:
        UsageError: if a config is neither a file nor in the collection, or is no config.
    """
    found = list(words)
    for index, word in enumerate(words):
        if word.startswith("--config="):
            found[index] = f"--config={_checked(word.removeprefix('--config='))}"
        elif index > 0 and words[index - 1] in FLAGS:
            found[index] = str(_checked(word))
    return found


def given_configs(words: Sequence[str]) -> list[Path]:
    """The files of all configs among words whose names have been replaced, in order."""
    pairs = zip(["", *words], words, strict=False)
    return [
        Path(word.removeprefix("--config="))
        for before, word in pairs
        if before in FLAGS or word.startswith("--config=")
    ]


def read_config(path: Path) -> dict[str, Any]:
    """The sections of a config.

    Raises:
        UsageError: if it is no YAML, see :func:`lowrank_unroll.yaml_files.read_yaml`, or not of sections; names it.
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
    meant = nearest(name, names) or "; lowrank-unroll --help lists the collection"
    raise UsageError(f"--config {name}: no such file, nor one of the collection{meant}")


def _kind(config: object) -> str:
    return "nothing" if config is None else f"a {type(config).__name__}"
