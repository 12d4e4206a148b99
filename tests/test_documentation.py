"""The documentation is an interface: its links, lines and words are checked, and everything that users can name has an entry.

All names come from the code. A new flag, route, metric, measure or field fails these tests until it has its entry.
"""

import ast
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

import pytest

import netlab
from benchmarks.__main__ import BENCHMARKS
from coordinator.http.exposition import exposition
from coordinator.ingest_keys import KeyTerms
from coordinator.worker_counters import WorkerCounters
from endhost_sdk import Session, Stats, Telemetry
from endhost_sdk.clock import SystemClock
from endhost_sdk.testing import Answer, HandClock, RecordingTransport
from feedback_analysis.measures.definitions import FIGURES
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.messages.session_table import CUMULATIVE, PLAYBACK, RATES, TEXTS
from feedback_analysis.quality.all_models import all_models
from feedback_analysis.quality.model import coefficients
from feedback_wire.inference import INFERENCE_FIELDS
from feedback_wire.measurement import MEASUREMENT_FIELDS
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELDS
from monitor_platform.alerts.rules import Rule, Webhook
from monitor_platform.api.table_handler import VIEWS
from monitor_platform.dashboard.address_query import OWN
from monitor_platform.dashboard.pages import PAGES as DASHBOARD_PAGES
from monitor_platform.metrics.audience_metrics import BROKEN_DOWN_BY
from monitor_platform.retrieval.feed_status import RetrievalCounts
from swarmscope.cli import COMMANDS
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import start_server
from tests.harness.waiting import eventually
from tools.settings_reference import PAGES as SETTINGS_PAGES
from tools.settings_reference import Setting, page_of, reference, settings

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docker/*.md"),
        *ROOT.glob("tools/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
    ]
)
SERVICES = ("coordinator", "feedback-server", "lab", "measurement-master", "monitor")
CITING = {".py", ".html", ".js", ".css", ".toml", ".yaml", ".sh"}
PACKAGES = [each.parent for each in sorted(ROOT.glob("*/__init__.py")) if each.parent.name != "tests"]

EARLIER_NAMES = re.compile(r"databases_read_anew|read_anew")
"""Names of counters that are older than the style guide."""


@cache
def all_settings() -> tuple[Setting, ...]:
    """Every setting of every command. This imports all commands, so it is not done when each worker collects the tests."""
    return tuple(settings())


@cache
def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def named(page: Path) -> set[str]:
    """Everything in backticks on a page, without code blocks."""
    return set(re.findall(r"`([^`\n]+)`", without_blocks(page)))


def without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The text of a page without code, and without the targets of its links."""
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", without_blocks(page))


def by_page(findings: Callable[[Path], list[T]], pages: Iterable[Path] = PAGES) -> dict[str, list[T]]:
    """What a check finds on each page, without the pages on which it finds nothing."""
    return {str(page.relative_to(ROOT)): found for page in pages if (found := findings(page))}


# --- Pages


def broken_links(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    return [link for link in local if not (page.parent / link).exists()]


def test_every_link_of_a_page_leads_to_a_file():
    assert by_page(broken_links) == {}


def long_lines(page: Path) -> list[int]:
    return [number for number, line in enumerate(text_of(page).splitlines(), 1) if len(line) > 120]


def test_no_line_of_a_page_is_longer_than_120_characters():
    assert by_page(long_lines) == {}


UNUSUAL = ("whoever", "whom", "nobody", "said", "told", "in vain", "taken in", "turned away", "for ever", "anew")


def test_no_page_contains_a_word_that_the_style_guide_forbids():
    words = re.compile(rf"\b(?:{'|'.join(UNUSUAL)})\b", re.IGNORECASE)
    assert by_page(lambda page: words.findall(prose(page)), [page for page in PAGES if page.stem != "glossary"]) == {}


def test_the_code_contains_no_word_that_the_style_guide_forbids():
    """Neither in a text nor in a name, whose words are separated by underscores."""
    words = re.compile(rf"(?<![a-z])(?:{'|'.join(UNUSUAL)})(?![a-z])", re.IGNORECASE)
    files = (path for package in PACKAGES for path in package.rglob("*.py"))
    assert by_page(lambda path: words.findall(EARLIER_NAMES.sub("", text_of(path))), files) == {}


OTHER_MEANINGS = {
    *(
        "agent",
        "area",
        "block",
        "book",
        "cache",
        "cell",
        "chart",
        "child",
        "chunk",
        "class",
        "client",
        "collector",
        "column",
        "crowd",
    ),
    *("device", "dropped", "entry", "event", "factor", "field", "figure", "format", "gone", "grade", "host", "index", "indicator"),
    *("ingest", "interval", "key", "latency", "line", "listing", "lose", "measure", "metric", "neighbour", "node", "open file"),
    *("others", "packet", "panel", "parser", "partner", "peer", "period", "picture", "piece", "place", "programme", "property"),
    *("protocol", "quality", "question", "queue", "rebuffering", "reject", "replica", "report", "room", "route", "row", "safe"),
    *("sample", "saved", "segment", "server", "statistic", "stream", "transport", "view", "visit", "volume", "warning", "window"),
    "zone",
}
"""Words after *Not* in the glossary that the documentation uses for something else."""


@cache
def words_that_the_glossary_excludes() -> set[str]:
    text = text_of(DOCS / "glossary.md").replace("\n  ", " ")
    excluded = re.sub(r"\([^)]*\)", "", " ".join(re.findall(r"Not: ([^.]*)\.", text)).replace(" Not: ", ", "))
    return {word.strip() for word in re.split(r"[,;]", excluded)} - OTHER_MEANINGS


def excluded_words_in(text: str) -> list[str]:
    words = "|".join(map(re.escape, sorted(words_that_the_glossary_excludes())))
    return re.findall(rf"\b(?:{words})s?\b", text, re.IGNORECASE)


def test_no_page_uses_a_word_that_the_glossary_excludes():
    assert len(words_that_the_glossary_excludes()) > 50
    assert by_page(lambda page: excluded_words_in(prose(page)), [page for page in PAGES if page.stem != "glossary"]) == {}


def test_no_help_text_uses_a_word_that_the_glossary_excludes():
    texts = {**COMMANDS, **{f"{setting.command} {setting.name}": setting.meaning for setting in all_settings()}}
    assert all(texts.values())
    assert {name: words for name, text in texts.items() if (words := excluded_words_in(text))} == {}


@cache
def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_to_absent_headings(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", text_of(page))
    targets = [((page.parent / file).resolve() if file else page, heading) for file, heading in links]
    return [f"{file.name}#{heading}" for file, heading in targets if file.suffix == ".md" and heading not in anchors(file)]


def test_every_link_to_a_heading_has_that_heading():
    assert by_page(links_to_absent_headings) == {}


def test_every_page_can_be_reached_from_the_entry():
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            linked = [(file.parent / link).resolve() for link in re.findall(r"\]\(([^)#:\s]+\.md)", text_of(file))]
            waiting += [page for page in linked if page.is_relative_to(DOCS)]
    assert sorted({*DOCS.rglob("*.md")} - reached) == []


def absent_parts_of_a_decision(page: Path) -> list[str]:
    text = text_of(page)
    parts = [
        part
        for part in ("Decision", "Alternatives considered", "Cost")
        if f"**{part}.**" not in text and f"## {part}\n" not in text
    ]
    if re.search(r"^Date: 20\d\d-\d\d-\d\d.*Status: ", text, re.MULTILINE) is None:
        parts.append("Date, Status")
    title = re.match(r"# (\d+\. )(.+)", text)
    if title is None or f"{title[1]}[{title[2]}]({page.name})" not in text_of(DOCS / "adr/README.md"):
        parts.append("a title that is in the list")
    return parts


def test_every_decision_has_its_date_status_alternatives_and_cost_and_is_in_the_list():
    assert by_page(absent_parts_of_a_decision, sorted(DOCS.glob("adr/0*.md"))) == {}


def test_every_test_that_the_guarantees_name_exists():
    proofs = [proof for page in DOCS.glob("guarantees/*.md") for proof in re.findall(r"`(tests/[\w/.]+)`", page.read_text())]
    assert len(proofs) > 150
    assert [proof for proof in proofs if not (ROOT / proof).exists()] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_and_folder_that_a_page_names_exists(page):
    names = [name for name in named(ROOT / page) if re.fullmatch(r"[\w/]+/(?:[\w.-]+\.\w+)?", name)]
    assert len(names) > 3
    assert [name for name in names if not (ROOT / name).exists() and not [*ROOT.glob(f"[a-z]*/{name}")]] == []


def test_the_page_of_netlab_names_everything_that_netlab_offers():
    page = (DOCS / "netlab.md").read_text()
    assert [name for name in netlab.__all__ if not re.search(rf"\b{name}\b", page)] == []


def test_the_architecture_page_names_every_package():
    assert {f"{package.name}/" for package in PACKAGES} - named(DOCS / "architecture.md") == set()


def test_every_name_in_the_table_of_places_is_in_one_of_the_files_of_its_row():
    table = (DOCS / "architecture.md").read_text().split("\n## Where to change what\n")[1]
    rows = [re.findall(r"`([^`]+)`", line) for line in table.splitlines() if line.startswith("| ")]
    checked = []
    for names in rows:
        files = [ROOT / name for name in names if (ROOT / name).is_file()]
        for name in (each for each in names if each.isidentifier()):
            checked.append(name)
            searched = files or [file for package in PACKAGES for file in package.rglob("*.py")]
            assert any(re.search(rf"\b{name}\b", text_of(file)) for file in searched), name
    assert len(checked) > 12


def test_every_page_that_the_code_cites_exists():
    sources = [file for package in [*PACKAGES, ROOT / "tests", ROOT / "docker", ROOT / "tools"] for file in package.rglob("*.*")]
    texts = [
        file for file in [*sources, ROOT / "Makefile", ROOT / "pyproject.toml"] if file.suffix in CITING or file.name == "Makefile"
    ]
    cited = {(name, file.name) for file in texts for name in re.findall(r"\bdocs/[\w./-]+\.(?:md|json|png)", text_of(file))}
    assert len(cited) > 20
    assert [(name, file) for name, file in sorted(cited) if not (ROOT / name).exists()] == []


def test_the_readme_names_both_commands_and_shows_the_dashboard():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "docs/images/dashboard.png" in readme


# --- Flags and environment variables


def test_the_settings_reference_has_every_argument_flag_variable_and_default_of_the_code():
    written = (DOCS / "settings-reference.md").read_text()
    assert written == reference(), "run .venv/bin/python -m tools.settings_reference > docs/settings-reference.md"


def test_every_flag_is_explained_on_the_page_of_its_command():
    flags = [
        (page_of(setting.command).partition("#")[0], setting.name) for setting in all_settings() if setting.name.startswith("--")
    ]
    assert len(flags) > 150
    pages = {page: (DOCS / page).read_text() for page, _ in flags}
    assert [(page, flag) for page, flag in flags if re.search(rf"{flag}\b(?!-)", pages[page]) is None] == []


def stated_defaults(page: Path) -> Iterator[tuple[str, str, str]]:
    """Section, flag and default of each row of a table with a column `default` on a page."""
    section, column = page.name, None
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if heading := re.fullmatch(r"## (.+)", line):
            anchored = f"{page.name}#{re.sub(r'[^a-z0-9 -]', '', heading[1].lower()).replace(' ', '-')}"
            section = anchored if anchored in SETTINGS_PAGES.values() else page.name
        elif cells[0] == "flag" or not line:
            column = cells.index("default") if "default" in cells else None
        elif column is not None and line.startswith("| `--"):
            for flag in re.findall(r"--[\w-]+", cells[0]):
                yield section, flag, cells[column]


def plain_default(text: str) -> str:
    """A default as the code has it: 1 GiB is 1073741824, and 20,000 is 20000."""
    number = re.fullmatch(r"([\d,]+(?:\.\d+)?)(?: ([MG])iB)?", text.strip("`"))
    if number is None:
        return text.strip("`")
    return f"{float(number[1].replace(',', '')) * {None: 1, 'M': 2**20, 'G': 2**30}[number[2]]:g}"


def test_every_default_on_the_page_of_a_command_is_that_of_the_code():
    rows = [row for page in sorted(DOCS.glob("*.md")) if page.stem != "settings-reference" for row in stated_defaults(page)]
    known: dict[tuple[str, str], set[str]] = {}
    for setting in all_settings():
        known.setdefault((page_of(setting.command), setting.name), set()).add(plain_default(setting.default))
    # The page says in words what an empty default means.
    fixed = {row: known[row[:2]] - {"", "required"} for row in rows}
    assert sum(map(bool, fixed.values())) > 40
    assert {row: values for row, values in fixed.items() if values and plain_default(row[2]) not in values} == {}


def test_every_other_environment_variable_that_the_code_reads_is_on_the_settings_page():
    flagged = {setting.variable for setting in all_settings()}
    nodes = nodes_of_modules_with("SWARMSCOPE_")
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    found = {text for text in texts if re.fullmatch(r"SWARMSCOPE_[A-Z_]*[A-Z]", text)}
    assert {"SWARMSCOPE_CONFIG", "SWARMSCOPE_KEY"} <= found
    assert found - flagged - named(DOCS / "settings.md") == set()


def nodes_of_modules_with(text: str) -> Iterator[ast.AST]:
    """The nodes of the syntax trees of the modules that contain a text. To parse all modules takes seconds."""
    modules = (module for package in PACKAGES for module in package.rglob("*.py") if text in text_of(module))
    return (node for module in modules for node in ast.walk(ast.parse(text_of(module))))


@pytest.mark.parametrize(("entry", "page"), [(Rule, "alerts"), (Webhook, "alerts"), (KeyTerms, "coordinator")])
def test_every_key_of_a_configuration_file_is_on_its_page(entry, page):
    text = (DOCS / f"{page}.md").read_text()
    keys = [field.name for field in dataclasses.fields(entry)]
    assert [key for key in keys if re.search(rf"\b{key}\b", text) is None] == []


def test_every_coefficient_of_a_quality_model_is_on_the_page_of_the_models():
    names = {name for model in all_models().values() for name in coefficients(model)}
    assert len(names) > 10
    assert names - named(DOCS / "quality-models.md") == set()


# --- Routes and errors


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_of_a_service_is_on_the_routes_page(service):
    described = json.loads((DOCS / f"api/{service}.openapi.json").read_text())
    routes = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert len(routes) > 4
    assert routes - named(DOCS / "formats/routes.md") == set()


@pytest.mark.parametrize("service", SERVICES)
def test_every_parameter_of_a_route_is_in_the_documentation(service):
    described = json.loads((DOCS / f"api/{service}.openapi.json").read_text())
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    # Every column is a parameter of its own: where.channel, where.isp, …
    names = {re.sub(r"^where\..*", "where", each["name"]) for operation in operations for each in operation.get("parameters", ())}
    pages = "\n".join(page.read_text() for page in DOCS.rglob("*.md"))
    assert names
    assert [name for name in names if re.search(rf"[`?&]{re.escape(name)}\b", pages) is None] == []


def test_every_parameter_of_a_page_s_address_is_on_the_page_of_the_addresses():
    dashboard = ROOT / "monitor_platform/dashboard"
    parsed = re.findall(r"given\.get\(\"(\w+)\"", (dashboard / "address_query.py").read_text())
    own = {name for file in dashboard.glob("*.py") for name in re.findall(r"own\.get\(\"(\w+)\"", file.read_text())}
    scripts = {name for file in dashboard.glob("assets/*.js") for name in re.findall(r"\"(p\.\w+)\"", file.read_text())}
    names = {*parsed, *(OWN + name for name in own), *scripts}
    assert {"measure", "by", "p.find", "p.wall"} <= names
    page = (DOCS / "monitor-api.md").read_text()
    assert [name for name in sorted(names) if re.search(rf"`{re.escape(name)}\b", page) is None] == []
    assert set(VIEWS) - named(DOCS / "monitor-api.md") == set()


def test_every_key_of_the_dashboard_is_in_the_table_of_keys():
    script = (ROOT / "monitor_platform/dashboard/assets/keys.js").read_text()
    actions = re.search(r"const ACTIONS = \{\n(.*?)\n  \};", script, re.DOTALL)
    keys = re.findall(r"^    \"?(.)\"?: ", actions[1], re.MULTILINE)
    assert len(keys) > 5
    table = (DOCS / "dashboard.md").read_text().split("\n### Keys\n")[1].split("\n## ")[0]
    assert [key for key in keys if f"`{key}`" not in table] == []


def test_every_benchmark_is_in_the_documentation():
    pages = "\n".join(page.read_text() for page in DOCS.rglob("*.md"))
    assert [name for name in BENCHMARKS if f"benchmarks {name}`" not in pages] == []


def test_every_page_of_the_dashboard_is_in_the_documentation():
    assert {page.path for page in DASHBOARD_PAGES} - named(DOCS / "dashboard.md") == set()


def test_every_reason_of_a_refusal_is_on_the_errors_page():
    reasons = {
        node.args[1].value
        for node in nodes_of_modules_with("Problem(")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and len(node.args) > 1
        if isinstance(node.args[1], ast.Constant)
    }
    assert {"rate_limited", "no_such_log", "busy"} <= reasons
    assert reasons - named(DOCS / "formats/errors.md") == set()


# --- Metrics and counters


def documented_metrics(title: str) -> set[str]:
    """The names below a heading of docs/metrics.md, with the prefix that stands there."""
    section = (DOCS / "metrics.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    prefix = re.search(r"All names begin with `(\w+)`", section)
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {prefix[1] + re.sub(r"\{.*\}", "", name) for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def exposed_metrics(text: str) -> set[str]:
    return {name for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) if not name.endswith("_created")}


def scrape(url: str) -> str:
    with urlopen(f"{url}/metrics", timeout=20) as answer:
        return answer.read().decode()


def test_every_metric_of_the_coordinator_is_on_the_metrics_page_and_no_other_is():
    assert documented_metrics("Coordinator") == exposed_metrics(exposition(WorkerCounters()).decode())


def test_every_metric_of_the_feedback_server_is_on_the_metrics_page_and_no_other_is(tmp_path):
    server = start_server("feedback-server", "--insecure", "--listen", "127.0.0.1:0", log=tmp_path / "log")
    exposed = exposed_metrics(scrape(server.url))
    assert server.stop() == 0
    assert documented_metrics("Feedback server") == exposed


def test_every_metric_of_the_server_of_trainings_is_on_the_metrics_page_and_no_other_is(tmp_path):
    flags = ("--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "trainings"))
    server = start_server("lab", "serve", *flags, log=tmp_path / "log")
    exposed = exposed_metrics(scrape(server.url))
    assert server.stop() == 0
    assert documented_metrics("Server of trainings") == exposed


def test_every_metric_of_the_monitoring_platform_is_on_the_metrics_page_and_no_other_is(tmp_path):
    """A live platform that follows a feedback server with one message of this moment has all of them but the webhooks'."""
    write_log(tmp_path / "logs", [record(received_ms=BEGIN_MS)])
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "low"\nmeasure = "mos"\nbelow = 1.5\n')
    listen = ("--alerts", "rules.toml", "--listen", "127.0.0.1:0")
    recorded = start_server("monitor", "--static", "logs", *listen, log=tmp_path / "recorded.log")
    follows = ("--feedback-server", "http://127.0.0.1:9", "--insecure", "--measurement-master", "http://127.0.0.1:9")
    live = start_server("monitor", *follows, *listen, log=tmp_path / "live.log")
    text = str(eventually(lambda: "swarmscope_peers " in (found := scrape(recorded.url)) and found))
    exposed = exposed_metrics(text) | exposed_metrics(scrape(live.url))
    assert (recorded.stop(), live.stop()) == (0, 0)
    dimension = re.compile(f"swarmscope_({'|'.join(BROKEN_DOWN_BY)})_")
    # The delay is exposed once a message has just arrived, which takes a whole pipeline.
    known = {dimension.sub("swarmscope_DIMENSION_", name) for name in exposed} | {"swarmscope_monitor_display_delay_seconds"}
    assert documented_metrics("Monitoring platform") | documented_metrics("Audience") == known


def test_every_counter_of_the_health_page_is_in_the_documentation():
    assert {field.name for field in dataclasses.fields(RetrievalCounts)} - named(DOCS / "monitor-troubleshooting.md") == set()


def test_every_counter_of_the_sdk_is_in_its_documentation():
    assert {field.name for field in dataclasses.fields(Stats)} - named(DOCS / "sdk-failures.md") == set()


@pytest.mark.parametrize("public", [Telemetry, Session, Stats, RecordingTransport, HandClock, Answer])
def test_every_public_name_of_the_sdk_is_on_its_pages(public):
    names = {*vars(public), *getattr(public, "__dataclass_fields__", ())}
    named_elsewhere = {"reset_after_fork"} | ({*vars(SystemClock)} if public is HandClock else set())
    pages = "\n".join(page.read_text() for page in DOCS.glob("sdk*.md"))
    public_names = sorted(name for name in names - named_elsewhere if not name.startswith("_"))
    assert public_names
    assert [name for name in public_names if re.search(rf"\b{name}\b", pages) is None] == []


# --- Measures and fields


def test_every_measure_is_in_the_table_of_the_measures_page():
    table = (DOCS / "measures.md").read_text().split("\n## Measures of the views\n")[1]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(MEASURES)
    assert set(FIGURES) - named(DOCS / "measures.md") - named(DOCS / "measures-of-views.md") == set()


def test_every_column_of_the_session_table_is_on_the_analyze_page():
    assert {*TEXTS, *PLAYBACK, *CUMULATIVE, *RATES} - named(DOCS / "analyze.md") == set()


@pytest.mark.parametrize("page", ["message", "record", "measurement", "inference"])
def test_every_field_is_on_the_page_of_its_format_with_its_meaning(page):
    fields = {"message": FIELDS, "record": RECORD_FIELDS, "measurement": MEASUREMENT_FIELDS, "inference": INFERENCE_FIELDS}[page]
    text = (DOCS / f"formats/{page}.md").read_text()
    assert [field.name for field in fields if f"| `{field.name}` |" not in text] == []
    if page != "record":
        assert [field.name for field in fields if field.meaning not in text] == []
