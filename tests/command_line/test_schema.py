"""The JSON schema accepts the configs that the command line accepts."""

import copy
import json
import sys
from contextlib import redirect_stdout
from io import StringIO

import jsonschema
import pytest
import yaml

from lowrank_unroll.__main__ import main
from lowrank_unroll.command_line.configs import config_folder, config_names


@pytest.fixture(scope="module")
def schema():
    """Return what the command prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.setattr(sys, "argv", ["lowrank-unroll", "schema"])
        main()
    return json.loads(printed.getvalue())


@pytest.fixture(scope="module")
def editor(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def config_of(name):
    return yaml.safe_load((config_folder() / name).read_text())


def key_paths(section, at=()):
    """Yield the path of each key of a config."""
    items = section.items() if isinstance(section, dict) else enumerate(section) if isinstance(section, list) else ()
    for key, value in items:
        if isinstance(section, dict):
            yield (*at, key)
        yield from key_paths(value, (*at, key))


def only(section, path):
    """Return a config of nothing but the key at a path, in the classes that it is in: small ones are soon validated."""
    if isinstance(section, list) and path:
        return [only(section[path[0]], path[1:])]
    if not isinstance(section, dict):
        return section
    kept = {"class_path": section["class_path"]} if "class_path" in section else {}
    return kept | ({path[0]: only(section[path[0]], path[1:])} if path else {})


def with_typo(config, path):
    changed = copy.deepcopy(config)
    section = changed
    for key in path[:-1]:
        section = section[key]
    section[f"{path[-1]}x"] = section.pop(path[-1])
    return changed


def classes_around(config, path):
    """Return the classes whose arguments hold the key at a path: with it, all that decides whether a typo is found."""
    found, section = [], config
    for key in path:
        found += [section["class_path"]] if isinstance(section, dict) and "class_path" in section else []
        section = section[key]
    return tuple(found)


@pytest.fixture(scope="module")
def tried():
    """Return the keys that a config before had, too."""
    return set()


@pytest.mark.slow
@pytest.mark.parametrize("name", config_names())
def test_every_config_is_valid_and_no_key_of_it_can_be_mistyped(name, editor, tried):
    config = config_of(name)
    editor.validate(config)
    keys = {(path, classes_around(config, path)): path for path in key_paths(config)}
    for path in (path for key, path in keys.items() if key not in tried):
        free = "plugins" in path and "init_args" in path[:-1]  # a class of another package
        one, place = only(config, path), [0 if isinstance(key, int) else key for key in path]
        assert editor.is_valid(one), path
        assert editor.is_valid(with_typo(one, place)) == free, path
    tried.update(keys)


def demo_with(path, value):
    """Return the config of the colour demo with another value at a path."""
    config = config_of("color_cs/demo.yaml")
    *sections, last = path
    section = config
    for key in sections:
        section = section[key]
    section[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model", "class_path"), "ColourCS"),
        (("model", "init_args", "network", "class_path"), "TLRNett"),
        (("model", "init_args", "network", "class_path"), "SamplePhotos"),
        (("model", "init_args", "network", "init_args", "iterations"), "five"),
        (("model", "init_args", "network", "init_args", "gradient"), "exakt"),
        (("model", "init_args", "network", "init_args", "start"), "ZeroFiled"),
        (("data", "init_args", "batch_size"), 2.5),
        (("data", "init_args", "ratio"), [0.1, 0.2, 0.3]),
        (("trainer", "max_epochs"), "many"),
        (("report", "untrained"), ["ZeroFiled"]),
        (("optimizer",), "Adam"),
    ],
)
def test_values_that_the_command_line_refuses_are_invalid(path, value, editor, refused, tmp_path):
    config = demo_with(path, value)
    assert not editor.is_valid(config)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert refused("fit", "--config", "config.yaml", "--print_config")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model", "init_args", "network", "init_args", "start"), "ZeroFilled"),
        (("model", "init_args", "network", "init_args", "start"), None),
        (("model", "init_args", "network", "class_path"), "lowrank_unroll.networks.TLRNet"),
        (("model", "init_args", "self_supervision"), {"class_path": "SSDU", "init_args": {"masks": 4}}),
        (("data", "init_args", "ratio"), [0.1, 0.2]),
        (("trainer", "callbacks"), [{"class_path": "SpectrumMonitor", "init_args": {"every_n_steps": 5}}]),
        (("trainer", "max_time"), {"minutes": 5}),
        (("prediction",), {"image_formats": ["png", "tiff"]}),
    ],
)
def test_values_that_the_command_line_takes_are_valid(path, value, editor, command_line, tmp_path):
    config = demo_with(path, value)
    editor.validate(config)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as stop:
        command_line("fit", "--config", "config.yaml", "--print_config")
    assert not stop.value.code


def test_a_class_of_ones_own_is_taken_with_any_arguments(editor):
    task = {"class_path": "my_tasks.Deblurring", "init_args": {"blur": 3}}
    editor.validate({"model": task, "data": "my_tasks.Photos"})
    assert not editor.is_valid({"model": task | {"arguments": {}}})
    assert not editor.is_valid({"model": {"class_path": "Deblurring", "init_args": {"blur": 3}}})


def test_all_that_a_run_keeps_of_its_config_is_known(editor, command_line, capsys):
    with pytest.raises(SystemExit):
        command_line("fit", "--config", "color_cs/demo.yaml", "--print_config")
    editor.validate(yaml.safe_load(capsys.readouterr().out))


def test_keys_are_explained(schema):
    assert schema["properties"]["trainer"]["properties"]["max_epochs"]["description"].startswith("Stop training")
    assert schema["properties"]["pictures"]["properties"]["samples"]["default"] == 2
    networks = {one.get("title"): one for one in schema["$defs"]["Module"]["anyOf"]}
    assert networks["TLRNet"]["description"].startswith("Unrolled ADMM")
    assert networks["TLRNet"]["properties"]["init_args"]["properties"]["iterations"]["default"] == 10


def test_the_command_takes_no_argument(refused):
    assert "unrecognized arguments: more" in refused("schema", "more")
