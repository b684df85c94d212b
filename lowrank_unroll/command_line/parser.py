"""The parser of the trainer's commands: Lightning's, with short error messages."""

import ast
import inspect
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pydoc import locate
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lowrank_unroll.command_line.command_parser import did_you_mean
from lowrank_unroll.command_line.configs import given_configs, read_config
from lowrank_unroll.command_line.parser_errors import innermost_problem
from lowrank_unroll.command_line.trainer_help import HELP_ALL
from lowrank_unroll.errors import UsageError
from lowrank_unroll.terminal import say

DISCARDED = re.compile(r"class_path change from '([\w.]+)' to '(?:\w+\.)*(\w+)', discarding init_args: (\{.*\})")


class TrainerParser(LightningArgumentParser):
    """Refuse arguments in one to three lines, and name those that are discarded when a class is replaced by another."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        keywords.setdefault("logger", _discarded_arguments_logger())
        super().__init__(*arguments, **keywords)

    def dump(self, *arguments: Any, **keywords: Any) -> str:
        """Return a config as text. It was validated when it was parsed; to do it again takes as long as to parse."""
        text: str = super().dump(*arguments, **{"skip_validation": True} | keywords)
        return text

    def save(self, *arguments: Any, **keywords: Any) -> None:
        """Write a config to a file, as it was parsed."""
        super().save(*arguments, **{"skip_validation": True} | keywords)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse an argument.

        Raises:
            UsageError: names the argument, its source, the given value and what is expected.
        """
        if not self.exit_on_error:  # jsonargparse tries one type after another, and catches the error
            super().error(message, ex)
        raise UsageError(_short_message(message, getattr(ex, "subcommand_parser", None) or self, sys.argv[2:])) from ex


def _short_message(message: str, parser: LightningArgumentParser, arguments: Sequence[str]) -> str:
    if message.startswith("unrecognized arguments: "):
        flag = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
        return f"there is no argument {flag}{did_you_mean(flag, _flags(parser))}; see --help and {HELP_ALL}"
    if "arguments are required" in message and "given class_path" not in message:
        missing = [key.rpartition(".")[2] for key in message.rpartition(": ")[2].split(", ")]
        return f"no {' and no '.join(missing)} given: pass --config NAME, such as --config color_cs/demo.yaml"
    problem = innermost_problem(message, _flags(parser))
    if problem is None:
        return f"{' '.join(message.split())}; see --help"
    return problem.message(_source(problem.key, arguments))


def _flags(parser: LightningArgumentParser) -> list[str]:
    return [flag for flag in parser._option_string_actions if flag.startswith("--")]  # noqa: SLF001  argparse lists them nowhere else


def _source(key: str, arguments: Sequence[str]) -> str:
    """Return the flag that gave a key, or the key and the last config that holds it."""
    flag = f"--{key}"
    if any(_without_init_args(argument.split("=")[0]).startswith(flag) for argument in arguments):
        return flag
    for config in reversed(given_configs(arguments)):
        if _holds(read_config(config), key.split(".")):
            return f"{key} in {config}"
    return flag


def _without_init_args(flag: str) -> str:
    return flag.replace(".init_args", "")


def _holds(section: Any, keys: Sequence[str]) -> bool:
    if not keys:
        return True
    if not isinstance(section, dict):
        return False
    return _holds(section.get("init_args"), keys) or (keys[0] in section and _holds(section[keys[0]], keys[1:]))


class _DiscardedArguments(logging.Handler):
    """Print which arguments jsonargparse discards when a class is replaced by another."""

    def __init__(self) -> None:
        super().__init__()
        self.printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if match := DISCARDED.search(record.getMessage()):
            old, new, arguments = match.groups()
            given = _given_values(old, arguments)
            note = f"Note: {new} replaces {old.rpartition('.')[-1]} and does not take its {given}"
            if given and note not in self.printed:  # jsonargparse logs it more than once
                say(note, sys.stderr)
            self.printed.add(note)


def _given_values(class_path: str, arguments: str) -> str:
    """Return the discarded arguments that the user gave, of which jsonargparse knows no origin; all if no literals.

    The others are defaults, of their class or of one that has an object of their class as its default.
    """
    replaced = locate(class_path)
    try:
        values = ast.literal_eval(arguments)
    except (ValueError, SyntaxError):
        return arguments[1:-1]
    if not callable(replaced):
        return arguments[1:-1]
    parameters = inspect.signature(replaced).parameters
    given = {name: value for name, value in values.items() if value != _default(parameters, name)}
    return str({name: value for name, value in given.items() if _is_given(name, value, sys.argv[2:])})[1:-1]


def _is_given(name: str, value: Any, arguments: Sequence[str]) -> bool:
    """Return whether a flag ends in the name of an argument, or a config has it with this value."""
    flags = (argument.split("=")[0] for argument in arguments)
    return any(flag.endswith(f".{name}") for flag in flags) or any(
        _has_item(read_config(config), name, value) for config in given_configs(arguments)
    )


def _has_item(section: Any, name: str, value: Any) -> bool:
    if isinstance(section, list):
        return any(_has_item(part, name, value) for part in section)
    if not isinstance(section, dict):
        return False
    listed = list(value) if isinstance(value, tuple) else value
    return section.get(name, inspect.Parameter.empty) == listed or any(
        _has_item(part, name, value) for part in section.values()
    )


def _default(parameters: Mapping[str, inspect.Parameter], name: str) -> Any:
    return parameters[name].default if name in parameters else inspect.Parameter.empty


def _discarded_arguments_logger() -> logging.Logger:
    log = logging.getLogger("lowrank_unroll.parser")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [_DiscardedArguments()]
    return log
