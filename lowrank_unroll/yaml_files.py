"""Reading YAML that anybody may have written: of limited size, and with every key once."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowrank_unroll.errors import UsageError

if TYPE_CHECKING:
    import yaml

LARGEST = 2**20  # bytes; a config has some thousand
MOST_NODES = 100_000  # of a file whose aliases are written out


def read_yaml(path: Path, name: str) -> Any:
    """Read a file of YAML.

    Args:
        path: of the file.
        name: by which errors call the file.

    Raises:
        UsageError: if the file cannot be read, is too large, is not text, is no YAML, or has a key twice, of which YAML
            would drop the first without a word; names the file.
    """
    import yaml  # noqa: PLC0415  only where there is a file to read

    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise UsageError(f"{name}: has {len(content)} bytes, expected at most {LARGEST}")
        text = content.decode()
        document = yaml.compose(text, yaml.SafeLoader)
        if document is not None:
            _check_size(document, name)
            _check_keys(document, name)
        return yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: is no text file, expected YAML") from error
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: is no YAML: {_where_and_why(error)}") from error
    except RecursionError as error:
        raise UsageError(f"{name}: is nested too deeply, or in itself") from error


def _check_size(document: "yaml.Node", name: str) -> None:
    """Count the values of a document once its aliases are written out, without doing so."""
    counts: dict[int, int] = {}

    def count(node: "yaml.Node") -> int:
        if id(node) not in counts:
            counts[id(node)] = 1 + sum(map(count, _inner(node)))
        return counts[id(node)]

    if count(document) > MOST_NODES:
        raise UsageError(f"{name}: its aliases expand to more than {MOST_NODES} values")


def _check_keys(document: "yaml.Node", name: str) -> None:
    waiting, seen = [document], set()
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            waiting += _inner(node)
            _check_keys_of(node, name)


def _check_keys_of(node: "yaml.Node", name: str) -> None:
    lines: dict[str, int] = {}
    for key in (item[0] for item in node.value if isinstance(item, tuple)):
        if isinstance(key.value, str) and key.value in lines:
            places = f"line {lines[key.value]} and line {key.start_mark.line + 1}"
            raise UsageError(f"{name}: has {key.value!r} twice, in {places}: remove or rename one")
        if isinstance(key.value, str):
            lines[key.value] = key.start_mark.line + 1


def _inner(node: "yaml.Node") -> Iterator["yaml.Node"]:
    for item in node.value if isinstance(node.value, list) else ():
        yield from item if isinstance(item, tuple) else (item,)


def _where_and_why(error: Any) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    return f"{problem} in line {mark.line + 1}" if mark else " ".join(problem.split())
