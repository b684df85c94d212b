"""The parser of a command of the trainer: Lightning's, which tells mistakes in few words."""

import ast
import inspect
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pydoc import locate
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lowrank_unroll.command_line.complaints import innermost_complaint
from lowrank_unroll.command_line.configs import given_configs, read_config
from lowrank_unroll.command_line.words import nearest
from lowrank_unroll.errors import UsageError
from lowrank_unroll.terminal import say

LEFT = re.compile(r"class_path change from '([\w.]+)' to '(?:\w+\.)*(\w+)', discarding init_args: (\{.*\})")


class BriefParser(LightningArgumentParser):
    """Refuse arguments in one to three lines, and say which arguments a change of class leaves behind."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        keywords.setdefault("logger", _log_of_left_arguments())
        super().__init__(*arguments, **keywords)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse an argument.

        Raises:
            UsageError: says which, what was given, what is expected, and where it comes from.
        """
        if not self.exit_on_error:  # jsonargparse is only trying
            super().error(message, ex)
        raise UsageError(_told(message, getattr(ex, "subcommand_parser", None) or self, sys.argv[2:])) from ex


def _told(message: str, parser: LightningArgumentParser, words: Sequence[str]) -> str:
    if message.startswith("unrecognized arguments: "):
        flag = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
        return f"there is no argument {flag}{nearest(flag, _flags(parser))}; --help lists them"
    if "arguments are required" in message and "given class_path" not in message:
        missing = [key.rpartition(".")[2] for key in message.rpartition(": ")[2].split(", ")]
        return f"no {' and no '.join(missing)} given: pass --config NAME, such as --config color_cs/demo.yaml"
    complaint = innermost_complaint(message, _flags(parser))
    if complaint is None:
        return f"{' '.join(message.split())}; --help lists the arguments"
    return complaint.told(_origin(complaint.key, words))


def _flags(parser: LightningArgumentParser) -> list[str]:
    return [flag for flag in parser._option_string_actions if flag.startswith("--")]  # noqa: SLF001  argparse lists them nowhere else


def _origin(key: str, words: Sequence[str]) -> str:
    """Return where a key was given: as a flag, or in the last config that holds it."""
    flag = f"--{key}"
    if any(_without_init_args(word.split("=")[0]).startswith(flag) for word in words):
        return flag
    for config in reversed(given_configs(words)):
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


class _LeftArguments(logging.Handler):
    """Repeats to the user which arguments jsonargparse leaves out where a class is replaced by another."""

    def __init__(self) -> None:
        super().__init__()
        self.told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if match := LEFT.search(record.getMessage()):
            old, new, arguments = match.groups()
            given = _without_defaults(old, arguments)
            note = f"Note: {new} takes the place of {old.rpartition('.')[-1]} and does not take its {given}"
            if given and note not in self.told:  # jsonargparse comes by more than once
                say(note, sys.stderr)
            self.told.add(note)


def _without_defaults(class_path: str, arguments: str) -> str:
    """Leave out the arguments that are the class's own defaults, which nobody gave; text that is no literal stays."""
    replaced = locate(class_path)
    try:
        values = ast.literal_eval(arguments)
    except (ValueError, SyntaxError):
        return arguments[1:-1]
    if not callable(replaced):
        return arguments[1:-1]
    parameters = inspect.signature(replaced).parameters
    given = {name: value for name, value in values.items() if value != _default(parameters, name)}
    return str(given)[1:-1]


def _default(parameters: Mapping[str, inspect.Parameter], name: str) -> Any:
    return parameters[name].default if name in parameters else inspect.Parameter.empty


def _log_of_left_arguments() -> logging.Logger:
    log = logging.getLogger("lowrank_unroll.parser")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [_LeftArguments()]
    return log
