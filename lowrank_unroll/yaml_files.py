"""Reading YAML files, with an error for a key that is given twice."""

from pathlib import Path
from typing import Any

import yaml

from lowrank_unroll.errors import UsageError


def read_yaml(path: Path, name: str) -> Any:
    """Read a YAML file.

    Args:
        path: of the file.
        name: the file's name in error messages.

    Raises:
        UsageError: names the file if it cannot be read, is not text or no YAML, or has a key twice, of which YAML would
            silently drop the first.
    """
    try:
        loader = _UniqueKeyLoader(path.read_bytes().decode())
        return loader.get_single_data()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: is no text file, expected YAML") from error
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error
    except _DuplicateKeyError as error:
        raise UsageError(f"{name}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: is no YAML: {_problem(error)}") from error


class _DuplicateKeyError(Exception):
    """A mapping has a key twice."""


class _UniqueKeyLoader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """A loader that refuses duplicate keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                places = f"line {lines[key.value]} and line {line}"
                raise _DuplicateKeyError(f"has {key.value!r} twice, in {places}: remove or rename one")
            lines[key.value] = line
        return node


def _problem(error: Any) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    return f"{problem} in line {mark.line + 1}" if mark else " ".join(problem.split())
