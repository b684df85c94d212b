"""Short forms of the long error messages of jsonargparse: the argument, the value that was given, what is expected."""

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import datamodules
from lowrank_unroll import callbacks, modules, networks, sampling
from lowrank_unroll.command_line.command_parser import did_you_mean

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
MAX_VALUE = 100  # characters of a value that a message repeats


class ArgumentProblem(NamedTuple):
    """A problem with one argument.

    Attributes:
        key: the argument, such as data.batch_size.
        value: as it was given; "" if the message does not need it.
        problem: what is wrong, and what is expected.
    """

    key: str
    value: str
    problem: str

    def message(self, source: str) -> str:
        """Return the problem as a sentence.

        Args:
            source: the flag, or the key and the file that holds it.
        """
        return f"{source} {self.value}".strip() + f": {self.problem}"


def innermost_problem(message: str, flags: Iterable[str]) -> ArgumentProblem | None:
    """Return the first innermost problem of an error message of jsonargparse; None if it names no argument.

    Args:
        message: its parts are nested, and indented accordingly.
        flags: all flags of the command, to suggest one of them.
    """
    keys, owner, lines = _descend(message.splitlines())
    key, text = ".".join(keys), "\n".join(lines)
    if match := UNKNOWN_OPTION.search(text):
        return _unknown_option(keys, owner, match[1], flags)
    if not keys:
        return None
    if owner and (match := REQUIRED.search(text)):
        name = owner.rpartition(".")[2]
        return ArgumentProblem(key, name, f"give its {match[1]}, too; --{keys[0]}.help {name} lists its arguments")
    if match := NO_SUCH_CLASS.search(text):
        name = next(filter(None, match.groups()))
        return ArgumentProblem(key, name, f"there is no such class{did_you_mean(name.rpartition('.')[2], _classes())}")
    return ArgumentProblem(key, _given_value(lines), f"expected {_expected(text)}")


def _unknown_option(keys: Sequence[str], owner: str, option: str, flags: Iterable[str]) -> ArgumentProblem:
    if not owner:
        known = [flag.removeprefix("--") for flag in flags]
        return ArgumentProblem(option, "", f"there is no such argument{did_you_mean(option, known)}; see --help-all")
    name = owner.rpartition(".")[2]
    hint = did_you_mean(option, _parameters(name))
    problem = f"{name} has no argument {option!r}{hint}; --{keys[0]}.help {name} lists its arguments"
    return ArgumentProblem(".".join([*keys, option]), "", problem)


def _descend(lines: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Return the keys that lead to the first innermost problem, the class of the last key, and the lines about it."""
    keys: list[str] = []
    owner, depth, details = "", -1, list(lines)
    for number, line in enumerate(lines):
        if _indentation(line) <= depth:
            continue
        key, class_path = KEY.match(line), CLASS.match(line)
        keys += [key[1]] if key else []
        owner = class_path[1] if class_path else owner
        if key or class_path:
            depth = _indentation(line)
            inside = takewhile(lambda inner: not inner or _indentation(inner) > depth, lines[number + 1 :])  # noqa: B023
            details = [line[depth:], *inside]
    return keys, owner, [line.strip() for line in details]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _given_value(lines: Sequence[str]) -> str:
    for line in lines:
        if match := GIVEN.search(line):
            value = match[1] if match[1] is not None else match[2]
            nested = NESTED.match(value)
            return _unquoted(nested[1] if nested else value)[:MAX_VALUE]
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
        if "kwargs" not in parameters:  # With **kwargs, the arguments of the base class can be given, too.
            break
    return names


def _classes() -> dict[str, Any]:
    """Return the public classes of the project that a config can name."""
    packages: tuple[Any, ...] = (datamodules, networks, modules, sampling, callbacks)
    named = {name: getattr(package, name) for package in packages for name in package.__all__}
    return {name: value for name, value in named.items() if isinstance(value, type)}
