"""Compiled code is loaded only if nobody else can have written it, and is compiled once, failures included."""

import json
import logging
import os
import shutil
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lowrank_unroll.linalg.native import cpp_cache, cpp_compiler, cpp_library

pytestmark = pytest.mark.skipif(cpp_library.library() is None, reason="there is no C++ compiler")
anew = cpp_library.library.__wrapped__


class Compiler:
    """A script that is called as a compiler is, and writes down each call."""

    def __init__(self, folder):
        self.path = folder / "compiler"
        self.calls = folder / "calls"
        self.product = folder / "product.so"

    def does(self, what):
        """It copies its product, if it comes so far."""
        script = f'#!/bin/sh\necho >> {self.calls}\n{what}\nfor last; do :; done\ncp {self.product} "$last"\n'
        self.path.write_text(script)
        self.path.chmod(0o755)

    def makes(self, code):
        """Compile C++ code."""
        source = self.path.with_suffix(".cpp")
        source.write_text(code)
        real = next(filter(None, map(shutil.which, cpp_compiler.COMPILERS)))
        subprocess.run([real, "-shared", "-fPIC", source, "-o", self.product], check=True)

    def count(self):
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """One that works, and an empty cache."""
    script = Compiler(tmp_path)
    script.product.write_bytes(Path(cpp_library.library()._name).read_bytes())
    script.does(":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(script.path))
    return script


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "lowrank_unroll"


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def private(path):
    return not stat.S_IMODE(path.lstat().st_mode) & 0o077


@pytest.mark.slow
def test_the_real_compiler(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert anew() is not None
    monkeypatch.setattr(cpp_cache, "_compile", None)  # would fail if anything were left to do
    assert anew() is not None


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_it_is_compiled_once_and_nobody_else_can_write_it(compiler, folder, umask):
    before = os.umask(umask)
    try:
        assert anew() is not None
        assert anew() is not None
    finally:
        os.umask(before)
    assert compiler.count() == 1
    assert {file.suffix for file in folder.iterdir()} == {".so", ".json", ".lock"}
    assert all(map(private, (folder, folder.parent, *folder.iterdir())))


def link_away(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize("opened", [link_away, lambda folder: folder.chmod(0o770), lambda folder: folder.chmod(0o1777)])
def test_a_folder_that_others_may_write_to_is_not_used(compiler, folder, opened, caplog):
    assert anew() is not None
    opened(folder)
    with caplog.at_level(logging.WARNING):
        assert anew() is None
    assert str(folder) in caplog.text
    assert "small matrices take longer" in caplog.text
    assert compiler.count() == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("pattern", ["", "*.so", "*.json"])
def test_what_belongs_to_another_user_is_not_loaded(compiler, folder, pattern):
    assert anew() is not None
    given = only(folder, pattern) if pattern else folder
    os.chown(given, 12345, 12345)
    assert (anew() is None) == (given == folder)
    assert compiler.count() == (1 if given == folder else 2)


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def replaced_by_link(path):
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def replaced_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": Path.unlink,
    "a link": replaced_by_link,
    "a pipe": replaced_by_pipe,
    "open to others": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("suffix", [".so", ".json"])
def test_what_is_damaged_or_not_its_own_is_compiled_anew(compiler, folder, damage, suffix):
    assert anew() is not None
    path = only(folder, f"*{suffix}")
    copy = shutil.copy2(path, path.with_suffix(".copy"))  # damage to the file that is loaded would crash this process
    copy.replace(path)
    DAMAGE[damage](path)
    for _ in range(2):
        assert anew() is not None
        assert compiler.count() == 2
    assert path.is_file()
    assert not path.is_symlink()
    assert private(path)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "undefined symbol: gram_svd_real"),
        ("#include <csignal>\nstruct Now { Now() { std::raise(SIGBUS); } } now;", "ended with signal 7"),
    ],
)
def test_a_library_that_cannot_be_used_is_not_kept(compiler, folder, code, said, caplog):
    compiler.makes(code)
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            assert anew() is None
        assert said in caplog.text
    assert compiler.count() == 1
    assert not list(folder.glob("*.so"))


def test_a_compiler_that_hangs_ends_with_its_children_and_is_called_once(compiler, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cpp_compiler, "TIMEOUT", 0.3)
    compiler.does(f"sleep 100 & echo $! > {tmp_path}/child; sleep 100")
    for _ in range(3):
        with caplog.at_level(logging.WARNING):
            assert anew() is None
        assert "has not ended after 0.3 s" in caplog.text
    assert compiler.count() == 1
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    patience = time.monotonic() + 20  # the system takes a moment to end what is killed
    while has_not_ended(child):
        assert time.monotonic() < patience
        time.sleep(0.01)


def has_not_ended(process):
    try:
        return ") Z " not in (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_compiler_that_fails_is_called_again_when_it_changes_or_after_a_day(compiler, folder, caplog):
    compiler.does("echo 'no room \033[31mfor this' >&2; exit 3")
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            assert anew() is None
        assert r"ended with status 3: no room \x1b[31mfor this" in caplog.text
        assert str(only(folder, "*.json")) in caplog.text or compiler.count() == 1
    assert compiler.count() == 1
    record = only(folder, "*.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"at": time.time() - cpp_cache.RETRY_AFTER}))
    assert anew() is None
    assert compiler.count() == 2
    compiler.does(":")
    assert anew() is not None
    assert compiler.count() == 3


def test_a_failure_does_not_hide_the_library_of_another_process(compiler, folder):
    def fail(target):
        raise cpp_compiler.CompilationError("it has not ended after 120 s")

    assert anew() is not None
    assert cpp_cache._compile(only(folder, "*.so"), tuple(cpp_library.SIGNATURES), fail) is not None
    assert anew() is not None
    assert compiler.count() == 1


def test_many_at_once_compile_once(compiler):
    compiler.does("sleep 0.3")
    with ThreadPoolExecutor(6) as pool:
        assert all(library is not None for library in pool.map(lambda _: anew(), range(6)))
    assert compiler.count() == 1


def test_what_killed_compilations_left_is_removed(compiler, folder):
    assert anew() is not None
    made = only(folder, "*.so")
    leftovers = [made.with_name(f".{made.stem}-abcd_123{suffix}") for suffix in (".so", ".json")]
    for leftover in leftovers:
        leftover.touch()
        os.utime(leftover, (0, 0))
    assert anew() is not None
    assert compiler.count() == 1
    assert not any(leftover.exists() for leftover in leftovers)


def test_a_folder_in_the_place_of_the_library_is_met_once(compiler, folder, caplog):
    assert anew() is not None
    made = only(folder, "*.so")
    made.unlink()
    made.mkdir()
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            assert anew() is None
        assert f"{made} cannot be written: Is a directory" in caplog.text
    assert compiler.count() == 2


@pytest.mark.parametrize("where", ["/dev/null", "/proc/1", "a-file"])
def test_where_nothing_can_be_kept_that_is_said(compiler, where, tmp_path, monkeypatch, caplog):
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / where))
    with caplog.at_level(logging.WARNING):
        assert anew() is None
    assert "small matrices take longer" in caplog.text
    assert compiler.count() == 0


@pytest.mark.parametrize("word", ["0", "false", "OFF"])
def test_it_can_be_switched_off(compiler, word, monkeypatch, caplog):
    monkeypatch.setenv("LOWRANK_UNROLL_NATIVE", word)
    assert anew() is None
    assert compiler.count() == 0
    assert not caplog.text


def test_without_a_compiler_nothing_is_said(monkeypatch, caplog):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    assert anew() is None
    assert not caplog.text


@pytest.mark.parametrize("named", ["no-such-compiler", "a 'quotation that does not end", "/"])
def test_a_compiler_that_cannot_be_called_is_named(compiler, named, monkeypatch, caplog):
    monkeypatch.setenv("CXX", named)
    with caplog.at_level(logging.WARNING):
        assert anew() is None
    assert named in caplog.text


def test_every_compiler_c_library_and_processor_has_a_library_of_its_own(compiler, monkeypatch):
    def key():
        return cpp_compiler.dependencies(cpp_compiler.compiler_command())

    keys = [key()]
    os.utime(compiler.path, (1, 1))  # another version
    keys.append(key())
    shutil.copy2(compiler.path, compiler.path.with_name("c++"))
    monkeypatch.setenv("CXX", str(compiler.path.with_name("c++")))
    keys.append(key())
    monkeypatch.setattr(cpp_compiler.platform, "libc_ver", lambda: ("glibc", "2.17"))
    keys.append(key())
    for words in ("model name: A\nflags: sse2", "model name: B\nflags: sse2", "model name: B\nflags: avx"):
        monkeypatch.setattr(cpp_compiler, "_processor_facts", lambda words=words: words)
        keys.append(key())
    monkeypatch.setattr(cpp_compiler, "_processor_facts", lambda: "")
    for machine in ("one", "two"):
        monkeypatch.setattr(cpp_compiler.platform, "node", lambda machine=machine: machine)
        keys.append(key())
    assert len(set(keys)) == len(keys)
