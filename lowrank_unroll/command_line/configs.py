"""Finding configs, in files and in the collection, and refusing what is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lowrank_unroll.command_line.words import nearest
from lowrank_unroll.errors import UsageError

FLAGS = ("-c", "--config")
LARGEST = 2**20  # bytes; a config has some thousand
MOST_NODES = 100_000  # of a config whose aliases are written out


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
        UsageError: if the file cannot be read, is not text, is no YAML, or not of sections; names the file.
    """
    import yaml  # noqa: PLC0415  only where there is a config to read

    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise UsageError(f"--config {path}: has {len(content)} bytes, a config has at most {LARGEST}")
        text = content.decode()
        if _nodes(yaml.compose(text, yaml.SafeLoader)) > MOST_NODES:
            raise UsageError(f"--config {path}: its aliases expand to more than {MOST_NODES} values")
        config = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {path}: is no text file, expected YAML") from error
    except OSError as error:
        raise UsageError(f"--config {path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path}: is no YAML: {_where_and_why(error)}") from error
    except RecursionError as error:
        raise UsageError(f"--config {path}: is nested too deeply, or in itself") from error
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


def _nodes(node: Any) -> int:
    """How many values a YAML document has once its aliases are written out, counted without doing so."""
    counts: dict[int, int] = {}

    def count(part: Any) -> int:
        if id(part) not in counts:
            inner = [item for pair in part.value for item in (pair if isinstance(pair, tuple) else (pair,))]
            counts[id(part)] = 1 + (sum(map(count, inner)) if isinstance(part.value, list) else 0)
        return counts[id(part)]

    return 0 if node is None else count(node)


def _where_and_why(error: Any) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    return f"{problem} in line {mark.line + 1}" if mark else " ".join(problem.split())


def _kind(config: object) -> str:
    return "nothing" if config is None else f"a {type(config).__name__}"
