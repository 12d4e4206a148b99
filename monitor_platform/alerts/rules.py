"""The rules file in TOML: alert rules and webhooks.

A rule limits a measure in each slice (`by`, `where`): it must not be below or above a value, or deviate from the slice's baseline.
The whole file is checked when it is read, so a mistake is reported immediately, not when the first alert begins.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from feedback_analysis.measurements.measurement_summary import measurement_dimension
from feedback_analysis.measures.registry import LOWER_IS_BETTER, Measure, measure_of
from feedback_analysis.measures.selection import DIMENSIONS, check_dimensions
from feedback_analysis.messages.slices import THIN_SESSIONS
from serving.regular_files import read_regular_text

PEERS = "peers"
"""The number of peers. Only rules have it as a measure: a shrinking audience shows a problem better than a mean does."""

OPERATIONS = "operations"
"""The number of operations. A rule for it finds agents that report nothing."""
FAILED_RATIO = "failed_ratio"
"""The share of operations that ended neither as `ok` nor as `partial`."""
PATH_CHANGES = "path_changes"
"""The number of paths that have changed, as TRACEROUTE shows them."""

_VALUE = re.compile("[a-z][a-z0-9_]{0,63}")
_MORE_IS_BETTER = re.compile(
    rf"{OPERATIONS}|\w+_kbps|mos_\w+|round_trips_per_minute_\w+|packets_(answered|reflected|returned)|certificate_days_left"
)
"""The names of measured values of which lower values are worse."""

RuleKind = Literal["feedback", "measurement"]
KINDS: tuple[RuleKind, ...] = ("feedback", "measurement")
_OWN_FIELDS: Mapping[str, tuple[str, ...]] = {
    "feedback": ("least_sessions",),
    "measurement": ("least_operations", "window_minutes", "expected"),
}
"""The fields that only rules of one kind have."""

Severity = Literal["info", "warning", "critical"]
BodyShape = Literal["json", "discord", "slack"]
SEVERITIES = ("info", "warning", "critical")
SHAPES = ("json", "discord", "slack")
LONGEST_MINUTES = 24 * 60

Entry = TypeVar("Entry")


class BadRules(ValueError):  # noqa: N818 - a clear name
    """The rules file is invalid. The text names the file, the entry and what to do."""


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
    kind: RuleKind = "feedback"
    least_operations: int = 1
    window_minutes: int = 5
    expected: tuple[str, ...] = ()
    diagnose: bool = False
    destinations: tuple[str, ...] = ()

    @property
    def measures_network(self) -> bool:
        """Whether the rule is about measurements, not about feedback."""
        return self.kind == "measurement"

    @property
    def counts_peers(self) -> bool:
        return self.measure == PEERS and not self.measures_network

    @property
    def counts_reports(self) -> bool:
        """Whether the measure is 0, and not unknown, in a slice that reports nothing."""
        return self.counts_peers or (self.measures_network and self.measure == OPERATIONS)

    @property
    def least(self) -> int:
        """The number of sessions, or of operations, that a slice needs."""
        return self.least_operations if self.measures_network else self.least_sessions

    def expects(self, names: tuple[str, ...]) -> bool:
        """Whether the slice exists although it has never reported anything."""
        return len(names) == 1 and names[0] in self.expected

    @property
    def worse_is_higher(self) -> bool:
        """Whether values above the limit are bad, not values below it."""
        if self.above is not None or self.below is not None:
            return self.above is not None
        return _MORE_IS_BETTER.fullmatch(self.measure) is None if self.measures_network else self.measure in LOWER_IS_BETTER

    def watched(self) -> Measure:
        """The measure, unless the rule counts peers."""
        return measure_of(self.measure, "histogram")


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One entry `[[webhook]]`. The address of a chat service is a secret."""

    url: str = field(repr=False)
    shape: BodyShape = "json"

    @property
    def host(self) -> str:
        """The part of the address that may appear in logs."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A whole rules file."""

    rules: tuple[Rule, ...]
    webhooks: tuple[Webhook, ...] = ()


def read_rules(path: Path) -> Rules:
    """The rules in `path`; BadRules if the file cannot be read or is invalid."""
    try:
        return parse_rules(read_regular_text(path), str(path))
    except FileNotFoundError:
        raise BadRules(f"{path} cannot be read as rules: the file does not exist; docs/alerts.md shows how to write it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadRules(f"{path} cannot be read as rules: {error}") from error


def parse_rules(text: str, path: str) -> Rules:
    """The rules in the text of the file `path`; BadRules if it is invalid."""
    try:
        entry = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRules(f"{path} cannot be read as rules: {error}") from error
    try:
        _only(entry, ("rule", "webhook"), "the file")
        rules = tuple(rule_of(entry) for entry in _entries(entry, "rule"))
        webhooks = tuple(_webhook(entry) for entry in _entries(entry, "webhook"))
        _names_differ(rules)
    except ValueError as error:
        raise BadRules(f"{path}: {error}") from error
    if not rules:
        raise BadRules(f"{path} has no [[rule]]; docs/alerts.md has an example")
    return Rules(rules=rules, webhooks=webhooks)


def rule_of(entry: Mapping[str, Any]) -> Rule:
    """The rule that an entry of the file describes; ValueError for an invalid one."""
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError('a [[rule]] has no name; give each one, such as name = "low MOS"')
    try:
        _only(entry, [field.name for field in fields(Rule)], "a rule")
        by = entry.get("by", ())
        rule = _typed(
            Rule, {"where": {}, "severity": "warning"} | dict(entry) | {"by": (by,) if isinstance(by, str) else tuple(by)}
        )
        _check(rule)
        _check_own_fields(rule)
    except (ValueError, TypeError) as error:
        raise ValueError(f"rule {name!r}: {error}") from error
    return rule


def _check(rule: Rule) -> None:
    if rule.kind not in KINDS:
        raise ValueError(f"kind is {rule.kind!r}; choose from {', '.join(KINDS)}")
    if rule.measures_network:
        _check_measurement(rule)
    else:
        _check_feedback(rule)
    limits = [rule.below, rule.above, rule.deviates]
    if sum(limit is not None for limit in limits) != 1:
        raise ValueError("give one of below, above and deviates, such as below = 3.0")
    _check_numbers(rule)
    if rule.destinations and not rule.diagnose:
        raise ValueError("destinations needs diagnose = true: they are what a diagnosis measures")
    if rule.severity not in SEVERITIES:
        raise ValueError(f"severity is {rule.severity!r}; choose from {', '.join(SEVERITIES)}")


def _check_numbers(rule: Rule) -> None:
    if rule.deviates is not None and rule.deviates <= 0:
        raise ValueError(f"deviates is {rule.deviates:g}; it needs a number above 0, such as 4")
    for name in ("for_minutes", "baseline_minutes", "window_minutes"):
        if not 1 <= getattr(rule, name) <= LONGEST_MINUTES:
            raise ValueError(f"{name} is {getattr(rule, name)}; it needs whole minutes from 1 to {LONGEST_MINUTES}")
    for name in ("least_sessions", "least_operations"):
        if getattr(rule, name) < 1:
            raise ValueError(f"{name} is {getattr(rule, name)}; it needs a whole number of 1 or more")


def _check_feedback(rule: Rule) -> None:
    if not rule.counts_peers:
        try:
            rule.watched()
        except ValueError as error:
            raise ValueError(f"{error}, or {PEERS}") from None
    check_dimensions(rule.where)
    if strange := [name for name in rule.by if name not in DIMENSIONS and not name.startswith("extra.")]:
        raise ValueError(f"by names {strange[0]!r}; choose from {', '.join(DIMENSIONS)}, extra.NAME")


def _check_measurement(rule: Rule) -> None:
    for name in (*rule.by, *rule.where):
        measurement_dimension(name)
    if _VALUE.fullmatch(rule.measure) is None:
        own = ", ".join((OPERATIONS, FAILED_RATIO, PATH_CHANGES))
        raise ValueError(f"measure is {rule.measure!r}; it needs {own}, or a measured value such as rtt_median_ms")
    if rule.expected and (rule.measure != OPERATIONS or len(rule.by) != 1):
        raise ValueError(f'expected needs measure = "{OPERATIONS}" and one dimension in by, such as by = "agent"')


def _check_own_fields(rule: Rule) -> None:
    """A field of the other kind of rules may be there with its default: the interface for scripts lists all fields."""
    defaults = {field.name: field.default for field in fields(Rule)}
    others = (name for kind, names in _OWN_FIELDS.items() if kind != rule.kind for name in names)
    if strange := [name for name in others if getattr(rule, name) != defaults[name]]:
        raise ValueError(
            f'{strange[0]} is not a field of a rule about {rule.kind}; give kind = "{_kind_with(strange[0])}", or leave it out'
        )


def _kind_with(field_name: str) -> str:
    return next(kind for kind, names in _OWN_FIELDS.items() if field_name in names)


def _webhook(entry: Mapping[str, Any]) -> Webhook:
    """`url`, or `url_env`: the environment variable that holds it."""
    _only(entry, ("url", "url_env", "shape"), "a webhook")
    if "url_env" in entry:
        name = entry["url_env"]
        if not isinstance(name, str) or not os.environ.get(name):
            raise ValueError(f"the environment variable {name} of a webhook's url_env is empty; set it to the address")
        entry = {**entry, "url": os.environ[name]}
    url, shape = entry.get("url"), entry.get("shape", "json")
    if not isinstance(url, str) or urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError('a webhook needs url = "https://…", or url_env with the name of an environment variable that holds it')
    if shape not in SHAPES:
        raise ValueError(f"a webhook's shape is {shape!r}; choose from {', '.join(SHAPES)}")
    return Webhook(url=url, shape=shape)


def _names_differ(rules: tuple[Rule, ...]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise ValueError(f"two rules have the name {rule.name!r}; names must differ")
        seen.add(rule.name)


def _entries(entry: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = entry.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"write [[{name}]] before each {name}")
    return entries


def _only(entry: Mapping[str, Any], known: "list[str] | tuple[str, ...]", what: str) -> None:
    if strange := [name for name in entry if name not in known]:
        raise ValueError(f"{strange[0]!r} is unknown in {what}; choose from {', '.join(known)}")


def _typed(kind: type[Entry], entry: Mapping[str, Any]) -> Entry:
    """An entry with checked types."""
    wanted: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("name", "measure", "severity", "kind"), (str,)),
        **dict.fromkeys(("below", "above", "deviates"), (int, float)),
        **dict.fromkeys(("baseline_minutes", "for_minutes", "least_sessions", "least_operations", "window_minutes"), (int,)),
        "where": (dict,),
    }
    if not isinstance(entry.get("diagnose", False), bool):
        raise TypeError(f"diagnose is {entry['diagnose']!r}; it needs true or false")
    texts = {name: entry[name] for name in ("expected", "destinations") if name in entry}
    for name, given in texts.items():
        if not isinstance(given, list | tuple) or any(not isinstance(each, str) or not each for each in given):
            raise TypeError(f'{name} takes texts: {name} = ["{"hk-1" if name == "expected" else "media.example"}"]')
    entry = dict(entry) | {name: tuple(given) for name, given in texts.items()}
    for name, value in entry.items():
        if name in wanted and (not isinstance(value, wanted[name]) or isinstance(value, bool)):
            raise ValueError(
                f"{name} is {value!r}; it needs {'a number' if float in wanted[name] or int in wanted[name] else 'a text'}"
            )
    if any(not isinstance(value, str) for value in (*entry["where"].values(), *entry["by"])):
        raise ValueError('where and by take texts: where = {channel = "Olympics"}, by = ["isp"]')
    if "measure" not in entry:
        raise ValueError('measure is missing, such as measure = "mos"')
    return kind(**entry)
