"""Changes of the rules file by users of the dashboard. The file stays the one source of rules, and keeps its comments.

A change is refused if the file is not as this platform last read it: another process or an editor has changed it, and its change
must not be lost. The file is then loaded again first.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import Table

from feedback_wire.problem import Problem
from monitor_platform.alerts.rules import Rules, parse_rules, rule_of
from serving.durable_files import replacing
from serving.regular_files import read_regular_text

NOT_READ = "the file is written in a form that cannot be changed here; change it in an editor, and load it"

_RULE_LINE = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_TABLE_LINE = re.compile(r"\s*\[[^,]*\]\s*(#.*)?$")
_SUBTABLE_LINE = re.compile(r"\s*\[\[?\s*rule\s*\.")


class RulesFile:
    """The rules file at `path`, and its content as this platform last read or wrote it; BadRules if it is invalid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = self._read()
        self.rules = parse_rules(self._text, str(path))

    @property
    def revision(self) -> str:
        """Changes with the content that was last read."""
        return sha256(self._text.encode()).hexdigest()[:16]

    def has_changed(self) -> bool:
        """Whether another process has changed the file since it was last read."""
        try:
            return self._read() != self._text
        except (OSError, UnicodeDecodeError):
            return True

    def why_not_writable(self) -> str:
        """Why this process cannot change the file; empty if it can."""
        target = self.path.resolve()
        for path in (target, target.parent):  # a new file replaces the old one, so the folder must be writable, too
            if not os.access(path, os.W_OK):
                return f"{path} cannot be written by the monitoring platform"
        return ""

    def load(self) -> Rules:
        """Read the file again; BadRules or OSError, and nothing has changed, if it is invalid."""
        text = self._read()
        self.rules = parse_rules(text, str(self.path))
        self._text = text
        return self.rules

    def change(self, entry: Mapping[str, Any] | None, *, replaces: str | None, revision: str) -> Rules:
        """Write the file with one rule added, replaced or (`entry` is None) removed.

        Problem (409) if the file has changed since `revision`, ValueError if the new file would be invalid, OSError if the disk
        does not accept it. In all three cases, the file stays as it is.
        """
        with _locked(self.path.resolve().parent):
            if revision != self.revision or self.has_changed():
                raise Problem(409, "file_changed", f"{self.path} was changed meanwhile; load it, and change it then")
            text = changed_text(self._text, entry, replaces=replaces)
            rules = parse_rules(text, str(self.path))
            target = self.path.resolve()  # a symbolic link stays one
            with replacing(target, mode=target.stat().st_mode & 0o777) as file:
                file.write(text.encode())
        self._text, self.rules = text, rules
        return rules

    def _read(self) -> str:
        return read_regular_text(self.path)


def changed_text(text: str, entry: Mapping[str, Any] | None, *, replaces: str | None) -> str:
    """The text of a rules file with one rule added, replaced or (`entry` is None) removed. All comments outside the rule stay.

    ValueError if the rule is invalid, if no rule has the name `replaces`, or if the file is written in a form that this does not
    read.
    """
    rules = list(parse_rules(text, "the file").rules)
    new = [] if entry is None else [rule_of(entry)]
    if replaces is None:
        changed = f"{text.rstrip()}\n\n[[rule]]\n{tomlkit.dumps(_table(entry or {}))}"
        number = len(rules)
    else:
        number = next((number for number, rule in enumerate(rules) if rule.name == replaces), len(rules))
        if number == len(rules):
            raise ValueError(f"there is no rule with the name {replaces!r}")
        changed = _with_block(text, number, entry)
    expected = (*rules[:number], *new, *rules[number + 1 :])
    if parse_rules(changed, "the file").rules != expected:
        raise ValueError(NOT_READ)
    return changed


def _with_block(text: str, number: int, entry: Mapping[str, Any] | None) -> str:
    """`text` with the block of the rule with this number, from 0, changed or removed.

    Comments before the next table belong to that table, so the block ends before them. A parser would keep them in this one.
    """
    lines = text.splitlines(keepends=True)
    begins = [at for at, line in enumerate(lines) if _RULE_LINE.match(line)]
    if number >= len(begins):
        raise ValueError(NOT_READ)
    begin = begins[number]
    others = (at for at in range(begin + 1, len(lines)) if _TABLE_LINE.match(lines[at]) and not _SUBTABLE_LINE.match(lines[at]))
    end = next(others, len(lines))
    while lines[end - 1].strip() == "" or lines[end - 1].lstrip().startswith("#"):
        end -= 1
    if entry is None:
        end += end < len(lines) and not lines[end].strip()
        return "".join(lines[:begin] + lines[end:])
    try:
        document = tomlkit.parse("".join(lines[begin:end]))
    except ParseError as error:  # a text of several lines that looks like a table
        raise ValueError(NOT_READ) from error
    [table] = document["rule"]  # an array with one table, which begins the block
    _replace(table, entry)
    return "".join([*lines[:begin], tomlkit.dumps(document), *lines[end:]])


def _replace(table: Table, entry: Mapping[str, Any]) -> None:
    """Change the keys of a rule in place, so that comments beside unchanged keys stay."""
    for name in [name for name in table if name not in entry]:
        del table[name]
    for name, value in entry.items():
        if table.get(name) != value:
            table[name] = _item(value)


def _table(entry: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for name, value in entry.items():
        table.add(name, _item(value))
    return table


def _item(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    if not isinstance(value, Mapping):
        return value
    inline = tomlkit.inline_table()
    inline.update(value)
    return inline


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder against other platforms that change a file in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
