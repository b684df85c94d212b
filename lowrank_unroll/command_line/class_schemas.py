"""JSON schemas of types, of classes and of their arguments, as jsonargparse parses them."""

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

# Modules whose classes editors complete; a class of another module is given by its dotted path.
MODULES = (
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
OTHER_CLASS = "other_class"  # the dotted path of a class of another module


class ClassSchemas:
    """Builder of the schemas of arguments; collects those of the classes that the arguments take.

    Attributes:
        definitions: schemas of classes by name, for ``$defs``.
    """

    def __init__(self) -> None:
        known = {path for module in MODULES for one in classes_of(module) for path in _paths(one)}
        other = {"type": "string", "pattern": r"\.", "not": {"enum": sorted(known)}}
        self.definitions: dict[str, JsonSchema] = {OTHER_CLASS: other}

    def arguments(self, parser: ArgumentParser) -> JsonSchema:
        """Return the schema of all arguments of a parser, nested at the dots of their names."""
        schema = _object()
        for action in parser._actions:  # noqa: SLF001  argparse lists them nowhere else
            hint = getattr(action, "_typehint", None)
            if hint is None or action.dest.endswith(".help"):
                continue
            *sections, key = action.dest.split(".")
            properties = schema["properties"]
            for section in sections:
                properties = properties.setdefault(section, _object())["properties"]
            properties[key] = {**self.of_type(hint), **_annotations(action)}
            properties.update(_appending_key(key, properties[key]))
        return schema

    def of_type(self, hint: Any) -> JsonSchema:
        """Return the schema of values of a type hint; that of any value if JSON has no such type."""
        if hint in PLAIN:
            return dict(PLAIN[hint])
        if get_args(hint):
            return self._of_generic(get_origin(hint), get_args(hint))
        return self._of_class(hint) if inspect.isclass(hint) and hint is not object else {}

    def _of_generic(self, origin: Any, inner: tuple[Any, ...]) -> JsonSchema:
        if origin is Literal:
            return {"enum": list(inner)}
        if origin is Callable:  # given as a class, perhaps with some of its arguments
            return self.of_type(inner[-1])
        if origin is dict:
            return {"type": "object"}
        if origin is tuple and inner[-1] is not Ellipsis:
            items = [self.of_type(one) for one in inner]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        if origin in {Union, types.UnionType}:
            return {"anyOf": [self.of_type(one) for one in inner]}
        return {"type": "array", "items": self.of_type(inner[0])}

    def _of_class(self, base: type) -> JsonSchema:
        """Return a reference to the schema of a class and of all its known subclasses, by name or with arguments."""
        if base.__name__ not in self.definitions:
            self.definitions[
                base.__name__
            ] = {}  # breaks the recursion: a subclass may take an argument of the same type
            known = {known.__name__: known for known in _known_subclasses(base)}
            paths = [path for one in known.values() for path in _paths(one)]
            self.definitions[base.__name__]["anyOf"] = [
                *({"enum": paths} for _ in paths[:1]),
                {"$ref": f"#/$defs/{OTHER_CLASS}"},
                *map(self._with_arguments, known.values()),
                {
                    **_object({"class_path": {"$ref": f"#/$defs/{OTHER_CLASS}"}, "init_args": {"type": "object"}}),
                    "required": ["class_path"],
                },
                *([self._arguments_of(base)] if is_dataclass(base) else []),
            ]
        return {"$ref": f"#/$defs/{base.__name__}"}

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
        return {**_object(chosen), "title": known.__name__, "description": docstring_summary(known)}


def classes_of(module: types.ModuleType) -> list[type]:
    """Return the public classes of a module that are not abstract, in alphabetical order."""
    values = (getattr(module, name) for name in sorted(getattr(module, "__all__", None) or dir(module)))
    return [value for value in values if inspect.isclass(value) and not inspect.isabstract(value)]


def docstring_summary(documented: object) -> str:
    """Return the first line of a docstring; "" if there is none."""
    return next(iter((inspect.getdoc(documented) or "").splitlines()), "")


def _object(properties: JsonSchema | None = None) -> JsonSchema:
    return {"type": "object", "properties": properties or {}, "additionalProperties": False}


def _annotations(action: Any) -> JsonSchema:
    description = {"description": " ".join((action.help or "").replace("%%", "%").split())}
    return description | ({"default": action.default} if isinstance(action.default, bool | int | float | str) else {})


def _appending_key(key: str, schema: JsonSchema) -> JsonSchema:
    """Return the key that appends to a list of classes, such as ``logger+``; none for other arguments."""
    lists = [one for one in schema.get("anyOf", [schema]) if "$ref" in (one.get("items") or {})]
    return {f"{key}+": {"anyOf": [one for found in lists for one in (found, found["items"])]}} if lists else {}


def _known_subclasses(base: type) -> Iterator[type]:
    """Yield the subclasses that can be built, but no LightningModule where a network or a loss is expected."""
    for module in MODULES:
        for one in classes_of(module):
            is_task = issubclass(one, LightningModule) and not issubclass(base, LightningModule)
            if issubclass(one, base) and not is_task:
                yield one


def _paths(known: type) -> list[str]:
    """Return the names of a class that a config may use."""
    modules = [module.__name__ for module in MODULES if getattr(module, known.__name__, None) is known]
    return [
        known.__name__,
        *(f"{module}.{known.__name__}" for module in modules),
        f"{known.__module__}.{known.__name__}",
    ]
