"""Names of files, samples and runs, which may hold any characters, converted for where they are shown or stored."""

import itertools
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST_DRAWN = 26  # characters, as many as fit above a picture
LONGEST_PART = 200  # bytes, of the 255 that file systems allow; a number, suffixes and more may follow
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f:*?"<>|\ud800-\udfff]')  # by some file system
MARKUP = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")  # of Markdown; the _ of a_b is none
FORMULA = tuple("=+-@\t\r\n")  # begin a formula in spreadsheets, or are white space before one


def one_line(name: str) -> str:
    r"""Return a name in printable characters, on one line; others, such as line breaks, as \n or \u202e."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _escaped(character) for character in name)


def printable(text: str) -> str:
    r"""Return lines of text in printable characters; others, such as those that control a terminal, as \x1b."""
    return "\n".join(map(one_line, text.split("\n")))


def drawable(name: str, longest: int = LONGEST_DRAWN) -> str:
    r"""Return a name as a text of matplotlib: no formula, on one line, characters that the font lacks as \u4e2d.

    Args:
        name: of any characters.
        longest: number of characters; of a longer name the middle is left out.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font  # noqa: PLC0415  names need no pictures

    font = get_font(findfont(FontProperties()))
    drawn = "".join(
        character if font.get_char_index(ord(character)) else _escaped(character) for character in one_line(name)
    )
    if len(drawn) > longest:
        drawn = f"{drawn[: longest // 2]} ... {drawn[-longest // 2 :]}"
    return drawn.replace("$", r"\$")


def spreadsheet_cell(text: str) -> str:
    """Return a text as a cell of a CSV file that no spreadsheet executes."""
    return f"'{text}" if text.startswith(FORMULA) else text


def markdown_cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown, with all markup escaped."""
    return MARKUP.sub(r"\\\g<0>", one_line(text))


def folded(name: str) -> str:
    """Return a name in a form that is equal for names which file systems may not tell apart (case, accents)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def abridged(names: str | list[str], *, limit: int = 8) -> str:
    """Return the first names, separated by commas, and the number of the others."""
    names = [names] if isinstance(names, str) else names
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def unique_names(names: Iterable[str]) -> list[str]:
    """Return the names, made unique: repeated ones get a number."""
    found: dict[str, None] = {}
    for name in names:
        numbered = itertools.chain([name], (f"{name}, no. {number}" for number in itertools.count(2)))
        found[next(candidate for candidate in numbered if candidate not in found)] = None
    return list(found)


def path_of_name(name: str) -> Path:
    """Return the relative path, without suffix, of the files of a sample; it never leads out of a folder.

    Slashes separate folders. Parts of dots alone are dropped, forbidden characters become _, and long parts are cut.
    """
    parts = [FORBIDDEN.sub("_", part).encode()[:LONGEST_PART].decode(errors="ignore") for part in _parts(name)]
    return Path(*parts or ["unnamed"])


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", name) if part.strip(". ")]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
