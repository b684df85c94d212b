"""What jsonargparse complains of in many lines, in few: which argument, what was given, and what is expected."""

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import datamodules
from lowrank_unroll import callbacks, modules, networks, sampling
from lowrank_unroll.command_line.words import nearest

KEY = re.compile(r'^\s*(?:- )?Parser key "([^"]+)"')
CLASS = re.compile(r"^\s*(?:- )?Problem with given class_path '([^']+)'")
UNKNOWN_OPTION = re.compile(r"(?:Option|does not accept option) '([^']+)'")
REQUIRED = re.compile(r"arguments are required: ([^\n]+)")
NO_SUCH_CLASS = re.compile(
    r"Expected a dot import path string: (\S+)|Import path (\S+) does not correspond|"
    r"(?:No module named|has no attribute) '([^']+)'|Unexpected import path format: (\S+)"
)
GIVEN = re.compile(r"Got value: (.*)|^Given value: (.*)")
NESTED = re.compile(r"^NestedArg\(key='[^']*', val=(.*)\)$")
EXPECTED = re.compile(r"Expected an? (.*?)(?:\. Got value: .*)?$")
TYPES = re.compile(r"<class '([\w.]+)'>")
LITERALS = re.compile(r"typing\.Literal\[(.*?)\]")
READABLE = {"NoneType": "null", "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
LONGEST_VALUE = 100  # characters of what was given that are repeated


class Complaint(NamedTuple):
    """One mistake in an argument.

    Attributes:
        key: the argument, such as data.batch_size.
        given: the value as it was given; "" where it does not matter.
        problem: what is wrong, and what is expected.
    """

    key: str
    given: str
    problem: str

    def told(self, origin: str) -> str:
        """The complaint in a sentence.

        Args:
            origin: the flag, or the key and the file that it stands in.
        """
        return f"{origin} {self.given}".strip() + f": {self.problem}"


def innermost_complaint(message: str, flags: Iterable[str]) -> Complaint | None:
    """Find the first innermost mistake in a message of jsonargparse; None if it speaks of no argument by name.

    Args:
        message: its parts are nested, and indented accordingly.
        flags: of the command, to find the nearest one.
    """
    keys, owner, lines = _descend(message.splitlines())
    key, text = ".".join(keys), "\n".join(lines)
    if match := UNKNOWN_OPTION.search(text):
        return _unknown_option(keys, owner, match[1], flags)
    if not keys:
        return None
    if owner and (match := REQUIRED.search(text)):
        name = owner.rpartition(".")[2]
        return Complaint(key, name, f"give its {match[1]}, too; --{keys[0]}.help {name} lists what it takes")
    if match := NO_SUCH_CLASS.search(text):
        name = next(filter(None, match.groups()))
        return Complaint(key, name, f"there is no such class{nearest(name.rpartition('.')[2], _classes())}")
    return Complaint(key, _given(lines), f"expected {_expected(text)}")


def _unknown_option(keys: Sequence[str], owner: str, option: str, flags: Iterable[str]) -> Complaint:
    if not owner:
        known = [flag.removeprefix("--") for flag in flags]
        return Complaint(option, "", f"there is no such argument{nearest(option, known)}; --help lists them")
    name = owner.rpartition(".")[2]
    meant = nearest(option, _parameters(name))
    problem = f"{name} takes no {option!r}{meant}; --{keys[0]}.help {name} lists what it takes"
    return Complaint(".".join([*keys, option]), "", problem)


def _descend(lines: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """The keys that lead to the first innermost mistake, the class that takes the last, and the lines about it."""
    keys: list[str] = []
    owner, depth, about = "", -1, list(lines)
    for number, line in enumerate(lines):
        if _indentation(line) <= depth:
            continue
        key, class_path = KEY.match(line), CLASS.match(line)
        keys += [key[1]] if key else []
        owner = class_path[1] if class_path else owner
        if key or class_path:
            depth = _indentation(line)
            inside = takewhile(lambda inner: not inner or _indentation(inner) > depth, lines[number + 1 :])  # noqa: B023
            about = [line[depth:], *inside]
    return keys, owner, [line.strip() for line in about]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _given(lines: Sequence[str]) -> str:
    for line in lines:
        if match := GIVEN.search(line):
            value = match[1] if match[1] is not None else match[2]
            nested = NESTED.match(value)
            return _unquoted(nested[1] if nested else value)[:LONGEST_VALUE]
    return ""


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value)) if value.startswith(("'", '"')) else value
    except (SyntaxError, ValueError):
        return value


def _expected(text: str) -> str:
    found = [match[1] for line in text.splitlines() if (match := EXPECTED.search(line.lstrip("- ")))]
    choices = [choice for kind in found for literal in LITERALS.findall(kind) for choice in literal.split(", ")]
    if choices:
        return f"one of {', '.join(dict.fromkeys(choices))}"
    kinds = dict.fromkeys(TYPES.sub(lambda match: READABLE.get(match[1], match[1]), kind) for kind in found)
    return " or ".join(kinds) or f"another value: {' '.join(text.split())}"


def _parameters(class_name: str) -> list[str]:
    owner = _classes().get(class_name)
    names: list[str] = []
    for base in inspect.getmro(owner) if owner else ():
        parameters = inspect.signature(base).parameters
        names += parameters
        if "kwargs" not in parameters:  # by which the bases are given theirs
            break
    return names


def _classes() -> dict[str, Any]:
    """The public classes of the project that a config can name."""
    rooms: tuple[Any, ...] = (datamodules, networks, modules, sampling, callbacks)
    return {name: value for room in rooms for name in room.__all__ if isinstance(value := getattr(room, name), type)}
