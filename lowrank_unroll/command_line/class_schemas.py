"""JSON schemas of types, classes and their arguments, as jsonargparse parses them."""

import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import lightning.pytorch.callbacks
import lightning.pytorch.loggers
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule

import datamodules
from lowrank_unroll import callbacks, modules, networks, prox, sampling

JsonSchema = dict[str, Any]

# Where classes are completed from; those of other modules are taken by their dotted path.
ROOMS = (
    *(modules, networks, prox, sampling, callbacks, datamodules, torch.optim, torch.optim.lr_scheduler),
    *(lightning.pytorch.callbacks, lightning.pytorch.loggers),
)
PLAIN: dict[Any, JsonSchema] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string"},
    timedelta: {"type": "string"},
}
OWN = "own_class"  # a dotted path of another class


class ClassSchemas:
    """Collects the schemas of classes while those of the arguments that take them are asked for.

    Attributes:
        found: schemas of classes by name, to stand under ``$defs``.
    """

    def __init__(self) -> None:
        ours = {path for room in ROOMS for one in classes_of(room) for path in _paths(one)}
        own = {"type": "string", "pattern": r"\.", "not": {"enum": sorted(ours)}}
        self.found: dict[str, JsonSchema] = {OWN: own}

    def arguments(self, parser: ArgumentParser) -> JsonSchema:
        """The schema of all arguments of a parser, nested where their names have dots."""
        schema = _section()
        for action in parser._actions:  # noqa: SLF001  argparse lists them nowhere else
            hint = getattr(action, "_typehint", None)
            if hint is None or action.dest.endswith(".help"):
                continue
            *sections, key = action.dest.split(".")
            properties = schema["properties"]
            for section in sections:
                properties = properties.setdefault(section, _section())["properties"]
            properties[key] = {**self.of_type(hint), **_told(action)}
            properties.update(_appending(key, properties[key]))
        return schema

    def of_type(self, hint: Any) -> JsonSchema:
        """The schema of values of a type hint; of any value where JSON knows none."""
        if hint in PLAIN:
            return dict(PLAIN[hint])
        if get_args(hint):
            return self._of_generic(get_origin(hint), get_args(hint))
        return self._of_class(hint) if inspect.isclass(hint) and hint is not object else {}

    def _of_generic(self, origin: Any, inner: tuple[Any, ...]) -> JsonSchema:
        if origin is Literal:
            return {"enum": list(inner)}
        if origin is Callable:  # a class, or one with some of its arguments
            return self.of_type(inner[-1])
        if origin is dict:
            return {"type": "object"}
        if origin is tuple and inner[-1] is not Ellipsis:
            items = [self.of_type(one) for one in inner]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        if origin in {Union, types.UnionType}:
            return {"anyOf": [self.of_type(one) for one in inner]}
        return {"type": "array", "items": self.of_type(inner[0])}

    def _of_class(self, kind: type) -> JsonSchema:
        """A reference to the schema of all known classes of a kind, by name or with arguments."""
        if kind.__name__ not in self.found:
            self.found[kind.__name__] = {}  # an argument of one of them may be of the same kind
            known = {known.__name__: known for known in _known(kind)}
            paths = [path for one in known.values() for path in _paths(one)]
            self.found[kind.__name__]["anyOf"] = [
                *({"enum": paths} for _ in paths[:1]),
                {"$ref": f"#/$defs/{OWN}"},
                *map(self._with_arguments, known.values()),
                {
                    **_section({"class_path": {"$ref": f"#/$defs/{OWN}"}, "init_args": {"type": "object"}}),
                    "required": ["class_path"],
                },
                *([self._arguments_of(kind)] if is_dataclass(kind) else []),
            ]
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def _arguments_of(self, known: type) -> JsonSchema:
        parser = ArgumentParser()
        parser.add_class_arguments(known)
        return self.arguments(parser)

    def _with_arguments(self, known: type) -> JsonSchema:
        chosen = {
            "class_path": {"enum": _paths(known)},
            "init_args": self._arguments_of(known),
            "dict_kwargs": {"type": "object"},
        }
        return {**_section(chosen), "title": known.__name__, "description": first_line(known)}


def classes_of(room: types.ModuleType) -> list[type]:
    """The public classes of a room that can be built, in alphabetical order."""
    ones = (getattr(room, name) for name in sorted(getattr(room, "__all__", None) or dir(room)))
    return [one for one in ones if inspect.isclass(one) and not inspect.isabstract(one)]


def first_line(documented: object) -> str:
    """The first line of a docstring; empty if there is none."""
    return next(iter((inspect.getdoc(documented) or "").splitlines()), "")


def _section(properties: JsonSchema | None = None) -> JsonSchema:
    return {"type": "object", "properties": properties or {}, "additionalProperties": False}


def _told(action: Any) -> JsonSchema:
    told = {"description": " ".join((action.help or "").replace("%%", "%").split())}
    return told | ({"default": action.default} if isinstance(action.default, bool | int | float | str) else {})


def _appending(key: str, schema: JsonSchema) -> JsonSchema:
    """The key that appends to a list of classes, as ``logger+`` does."""
    lists = [one for one in schema.get("anyOf", [schema]) if "$ref" in (one.get("items") or {})]
    return {f"{key}+": {"anyOf": [one for found in lists for one in (found, found["items"])]}} if lists else {}


def _known(kind: type) -> Iterator[type]:
    """The classes of a kind that can be built, but no task where a network or a loss is wanted."""
    for room in ROOMS:
        for one in classes_of(room):
            is_task = issubclass(one, LightningModule) and not issubclass(kind, LightningModule)
            if issubclass(one, kind) and not is_task:
                yield one


def _paths(known: type) -> list[str]:
    """What a class may be called in a config."""
    rooms = [room.__name__ for room in ROOMS if getattr(room, known.__name__, None) is known]
    return [known.__name__, *(f"{room}.{known.__name__}" for room in rooms), f"{known.__module__}.{known.__name__}"]
