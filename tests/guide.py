"""What a guide says is to be written where, done word for word."""

import re
from pathlib import Path
from textwrap import indent

_FILE, _CODE, _BLOCK = r"`([^`]+\.py)`", r"`([^`]+)`", r"[^`]*:\n\n```python\n(.*?)```"
_WHOLE_FILE = re.compile(rf"Write {_FILE}{_BLOCK}", re.DOTALL)
_FIRST_ENTRY = re.compile(rf"[Ii]n {_FILE}, as the first entry below {_CODE}{_BLOCK}", re.DOTALL)
_LINE_BELOW = re.compile(rf"[Ii]n {_FILE}, below {_CODE} add\s+{_CODE}")
_OTHER_LINE = re.compile(rf"[Ii]n {_FILE}, for {_CODE} write\s+{_CODE}")


def section(guide: str, title: str) -> str:
    """Return what stands under a heading."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", guide, re.MULTILINE | re.DOTALL)
    return str(found)


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of a language in a text; those of none for an empty one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for its, block in found if its == language]


def commands(text: str) -> list[str]:
    """Return the commands of a text, without what is said of them."""
    return [line.partition("#")[0].strip() for block in blocks(text, "sh") for line in block.splitlines()]


def follow(text: str, directory: Path) -> int:
    """Write into the files of a directory all that a text says; return in how many steps."""
    files, entries, lines, others = (
        step.findall(text) for step in (_WHOLE_FILE, _FIRST_ENTRY, _LINE_BELOW, _OTHER_LINE)
    )
    for path, content in files:
        assert not (directory / path).exists()
        (directory / path).write_text(content)
    for path, line, entry in entries:
        put_below(directory / path, line, indent(entry.rstrip(), "    ") + ",")
    for path, line, added in lines:
        put_below(directory / path, line, added)
    for path, line, other in others:
        put_below(directory / path, line, other)
        _remove(directory / path, line)
    return len(files) + len(entries) + len(lines) + len(others)


def put_below(path: Path, line: str, text: str) -> None:
    """Write a text below the one line that says this, as far to the right as it."""
    lines = path.read_text().splitlines(keepends=True)
    at = _place(lines, line)
    lines.insert(at + 1, indent(text, lines[at].partition(line)[0]) + "\n")
    path.write_text("".join(lines))


def _remove(path: Path, line: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    del lines[_place(lines, line)]
    path.write_text("".join(lines))


def _place(lines: list[str], line: str) -> int:
    (at,) = [number for number, each in enumerate(lines) if each.strip() == line]
    return at
