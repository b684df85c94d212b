"""Names of files, samples and runs, which may hold anything, made fit for where they are shown or kept."""

import itertools
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST_DRAWN = 26  # characters, as many as fit above a picture
LONGEST_PART = 200  # bytes, of the 255 that file systems allow; a number, suffixes and more may follow
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f:*?"<>|\ud800-\udfff]')  # by one file system or another
MARKUP = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")  # of Markdown; a_b is none
FORMULA = tuple("=+-@\t\r\n")  # what spreadsheets take for the start of a formula, or for white space before it


def one_line(name: str) -> str:
    r"""A name in characters that have a shape, on one line; others, such as line breaks, as \n or \u202e."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else _escaped(character) for character in name)


def printable(text: str) -> str:
    r"""Some lines in characters that have a shape; others, such as those that command a terminal, as \x1b."""
    return "\n".join(map(one_line, text.split("\n")))


def drawable(name: str, longest: int = LONGEST_DRAWN) -> str:
    r"""A name as a text of matplotlib: no formula, and on one line; what the font lacks as \u4e2d.

    Args:
        name: may hold anything.
        longest: characters; of a longer name the middle is left out.
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
    """A text as a cell of a CSV file that no spreadsheet executes."""
    return f"'{text}" if text.startswith(FORMULA) else text


def markdown_cell(text: str) -> str:
    """A text as a cell of a table in Markdown, which shows it as it is: no formatting, no HTML, and no further cell."""
    return MARKUP.sub(r"\\\g<0>", one_line(text))


def folded(name: str) -> str:
    """Fold names that a file system may take for one, as it may ignore case and how accents are composed, into one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def abridged(names: str | list[str], *, limit: int = 8) -> str:
    """Names in a row, the first of them and how many more there are."""
    names = [names] if isinstance(names, str) else names
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def told_apart(names: Iterable[str]) -> list[str]:
    """The names, each once: those that come again get a number."""
    found: dict[str, None] = {}
    for name in names:
        numbered = itertools.chain([name], (f"{name}, no. {number}" for number in itertools.count(2)))
        found[next(candidate for candidate in numbered if candidate not in found)] = None
    return list(found)


def path_of_name(name: str) -> Path:
    """The relative path, without suffix, of the files of a sample; it leads out of no folder.

    Slashes part folders. Parts of nothing but dots are dropped, characters that some file system forbids become _, and
    what is too long is cut off.
    """
    parts = [FORBIDDEN.sub("_", part).encode()[:LONGEST_PART].decode(errors="ignore") for part in _parts(name)]
    return Path(*parts or ["unnamed"])


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", name) if part.strip(". ")]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
