"""The rules file: what to watch, in TOML, and whom to tell.

A rule says for which slices (`by`, `where`) a measure must not lie below or above something, or not stray from what the same slice
did before. Everything is checked when the file is read: a slip of the pen is told at once, and not at three in the morning.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from feedback_analysis.measures.registry import LOWER_IS_BETTER, Measure, measure_of
from feedback_analysis.measures.selection import DIMENSIONS, check_columns
from feedback_analysis.messages.slices import THIN_SESSIONS

PEERS = "peers"
"""How many are there: a measure of its own here, for an audience that walks away says more than its mean."""

Severity = Literal["info", "warning", "critical"]
Shape = Literal["json", "discord", "slack"]
SEVERITIES = ("info", "warning", "critical")
SHAPES = ("json", "discord", "slack")
LONGEST_MINUTES = 24 * 60

Entry = TypeVar("Entry")


class BadRules(ValueError):  # noqa: N818 - it reads as what it says
    """The rules file says what cannot be; the text names file, entry and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry `[[rule]]`. One of `below`, `above` and `deviates` is set; minutes are whole."""

    name: str
    measure: str
    by: tuple[str, ...] = ()
    where: Mapping[str, str]
    below: float | None = None
    above: float | None = None
    deviates: float | None = None
    baseline_minutes: int = 60
    for_minutes: int = 2
    least_sessions: int = THIN_SESSIONS
    severity: Severity = "warning"

    @property
    def counts_peers(self) -> bool:
        return self.measure == PEERS

    @property
    def worse_is_higher(self) -> bool:
        """On which side of its baseline the measure is bad."""
        return self.above is not None or (self.below is None and self.measure in LOWER_IS_BETTER)

    def watched(self) -> Measure:
        """The measure, unless the rule counts peers."""
        return measure_of(self.measure, "histogram")


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One entry `[[webhook]]`; the address is a secret where chat services are concerned."""

    url: str = field(repr=False)
    shape: Shape = "json"

    @property
    def host(self) -> str:
        """What may be told of it."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A whole rules file."""

    rules: tuple[Rule, ...]
    webhooks: tuple[Webhook, ...] = ()


def read_rules(path: Path) -> Rules:
    """The rules in `path`; BadRules if it cannot be read or does not make sense."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise BadRules(f"{path} cannot be read as rules: it is not there; docs/alerts.md shows how to write it") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRules(f"{path} cannot be read as rules: {error}") from error
    try:
        _only(said, ("rule", "webhook"), "the file")
        rules = tuple(_rule(entry) for entry in _entries(said, "rule"))
        webhooks = tuple(_webhook(entry) for entry in _entries(said, "webhook"))
        _names_differ(rules)
    except ValueError as error:
        raise BadRules(f"{path}: {error}") from error
    if not rules:
        raise BadRules(f"{path} holds no [[rule]]; an example stands in docs/alerts.md")
    return Rules(rules=rules, webhooks=webhooks)


def _rule(said: Mapping[str, Any]) -> Rule:
    name = said.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError('a [[rule]] has no name; give each one, such as name = "low MOS"')
    try:
        _only(said, [field.name for field in fields(Rule)], "a rule")
        by = said.get("by", ())
        rule = _typed(Rule, {"where": {}, "severity": "warning"} | dict(said) | {"by": (by,) if isinstance(by, str) else tuple(by)})
        _check(rule)
    except (ValueError, TypeError) as error:
        raise ValueError(f"rule {name!r}: {error}") from error
    return rule


def _check(rule: Rule) -> None:
    if not rule.counts_peers:
        rule.watched()
    check_columns(rule.where)
    if strange := [name for name in rule.by if name not in DIMENSIONS and not name.startswith("extra.")]:
        raise ValueError(f"by names {strange[0]!r}; choose from {', '.join(DIMENSIONS)}, extra.NAME")
    limits = [rule.below, rule.above, rule.deviates]
    if sum(limit is not None for limit in limits) != 1:
        raise ValueError("give one of below, above and deviates, such as below = 3.0")
    if rule.deviates is not None and rule.deviates <= 0:
        raise ValueError(f"deviates is {rule.deviates:g}; it needs a number above 0, such as 4")
    for name in ("for_minutes", "baseline_minutes"):
        if not 1 <= getattr(rule, name) <= LONGEST_MINUTES:
            raise ValueError(f"{name} is {getattr(rule, name)}; it needs whole minutes from 1 to {LONGEST_MINUTES}")
    if rule.least_sessions < 1:
        raise ValueError(f"least_sessions is {rule.least_sessions}; it needs a whole number of 1 or more")
    if rule.severity not in SEVERITIES:
        raise ValueError(f"severity is {rule.severity!r}; choose from {', '.join(SEVERITIES)}")


def _webhook(said: Mapping[str, Any]) -> Webhook:
    """`url`, or `url_env`: the environment variable that holds it."""
    _only(said, ("url", "url_env", "shape"), "a webhook")
    if "url_env" in said:
        name = said["url_env"]
        if not isinstance(name, str) or not os.environ.get(name):
            raise ValueError(f"a webhook's address should stand in the environment variable {name}, and that is empty")
        said = {**said, "url": os.environ[name]}
    url, shape = said.get("url"), said.get("shape", "json")
    if not isinstance(url, str) or urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError('a webhook needs url = "https://…", or url_env with the name of an environment variable that holds it')
    if shape not in SHAPES:
        raise ValueError(f"a webhook's shape is {shape!r}; choose from {', '.join(SHAPES)}")
    return Webhook(url=url, shape=shape)


def _names_differ(rules: tuple[Rule, ...]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise ValueError(f"two rules are called {rule.name!r}; each needs a name of its own")
        seen.add(rule.name)


def _entries(said: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = said.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name} has to be written [[{name}]], once for each")
    return entries


def _only(said: Mapping[str, Any], known: "list[str] | tuple[str, ...]", what: str) -> None:
    if strange := [name for name in said if name not in known]:
        raise ValueError(f"{strange[0]!r} is nothing that {what} can say; choose from {', '.join(known)}")


def _typed(kind: type[Entry], said: Mapping[str, Any]) -> Entry:
    """An entry whose numbers are numbers and whose texts are texts."""
    wanted: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("name", "measure", "severity"), (str,)),
        **dict.fromkeys(("below", "above", "deviates"), (int, float)),
        **dict.fromkeys(("baseline_minutes", "for_minutes", "least_sessions"), (int,)),
        "where": (dict,),
    }
    for name, value in said.items():
        if name in wanted and (not isinstance(value, wanted[name]) or isinstance(value, bool)):
            raise ValueError(
                f"{name} is {value!r}; it needs {'a number' if float in wanted[name] or int in wanted[name] else 'a text'}"
            )
    if any(not isinstance(value, str) for value in (*said["where"].values(), *said["by"])):
        raise ValueError('where and by take texts: where = {channel = "Olympics"}, by = ["isp"]')
    if "measure" not in said:
        raise ValueError('measure is missing, such as measure = "mos"')
    return kind(**said)
