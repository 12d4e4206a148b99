"""The documentation is an interface: its links, lines and words are checked, and everything that users can name has an entry.

All names come from the code. A new flag, route, metric, measure or field fails these tests until it has its entry.
"""

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from cyclopts import App

from coordinator.http.exposition import exposition
from coordinator.ingest_keys import KeyTerms
from coordinator.worker_counters import WorkerCounters
from endhost_sdk.stats import Stats
from feedback_analysis.measures.definitions import FIGURES
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.messages.session_table import CUMULATIVE, PLAYBACK, RATES, TEXTS
from feedback_analysis.quality.all_models import all_models
from feedback_analysis.quality.model import coefficients
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELDS
from monitor_platform.alerts.rules import Rule, Webhook
from monitor_platform.dashboard.pages import PAGES as DASHBOARD_PAGES
from monitor_platform.metrics.audience_metrics import BROKEN_DOWN_BY
from monitor_platform.retrieval.feed_status import RetrievalCounts
from swarmscope.cli import Environment, app
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import start_server
from tests.harness.waiting import eventually

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
SERVICES = ("coordinator", "feedback-server", "monitor")
CITING = {".py", ".html", ".js", ".css", ".toml", ".yaml", ".sh"}
PACKAGES = [each.parent for each in sorted(ROOT.glob("*/__init__.py")) if each.parent.name != "tests"]


def named(page: Path) -> set[str]:
    """Everything in backticks on a page, without code blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


# --- Pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_of_a_page_is_longer_than_120_characters(page):
    assert [number for number, line in enumerate(page.read_text().splitlines(), 1) if len(line) > 120] == []


UNUSUAL = ("whoever", "whom", "nobody", "said", "told", "in vain", "taken in", "turned away", "for ever", "anew")


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "glossary"], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_contains_a_word_that_the_style_guide_forbids(page):
    text = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(rf"\b(?:{'|'.join(UNUSUAL)})\b", text, re.IGNORECASE) == []


def test_the_code_contains_no_word_that_the_style_guide_forbids():
    words = re.compile(rf"\b(?:{'|'.join(UNUSUAL)})\b", re.IGNORECASE)
    files = (path for package in PACKAGES for path in package.rglob("*.py"))
    assert [f"{path.relative_to(ROOT)}: {found}" for path in files for found in words.findall(path.read_text("utf-8"))] == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_has_that_heading(page):
    links = re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", page.read_text())
    targets = [((page.parent / file) if file else page, heading) for file, heading in links]
    assert [(file.name, heading) for file, heading in targets if file.suffix == ".md" and heading not in anchors(file)] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_can_be_reached_from_the_entry(page):
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            links = re.findall(r"\]\(([^)#:\s]+\.md)", file.read_text())
            waiting += [(file.parent / link).resolve() for link in links if (file.parent / link).resolve().is_relative_to(DOCS)]
    assert page in reached


@pytest.mark.parametrize("page", sorted(DOCS.glob("adr/0*.md")), ids=lambda page: page.stem)
def test_every_decision_has_its_date_status_alternatives_and_cost_and_is_in_the_list(page):
    text = page.read_text()
    assert re.search(r"^Date: 20\d\d-\d\d-\d\d.*Status: ", text, re.MULTILINE)
    assert [
        part
        for part in ("Decision", "Alternatives considered", "Cost")
        if f"**{part}.**" not in text and f"## {part}\n" not in text
    ] == []
    title = re.match(r"# (\d+\. )(.+)", text)
    assert f"{title[1]}[{title[2]}]({page.name})" in (DOCS / "adr/README.md").read_text()


def test_every_test_that_the_guarantees_name_exists():
    proofs = [proof for page in DOCS.glob("guarantees/*.md") for proof in re.findall(r"`(tests/[\w/.]+)`", page.read_text())]
    assert len(proofs) > 150
    assert [proof for proof in proofs if not (ROOT / proof).exists()] == []


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_and_folder_that_a_page_names_exists(page):
    names = [name for name in named(ROOT / page) if re.fullmatch(r"[\w/]+/(?:[\w.-]+\.\w+)?", name)]
    assert len(names) > 3
    assert [name for name in names if not (ROOT / name).exists() and not [*ROOT.glob(f"[a-z]*/{name}")]] == []


def test_the_architecture_page_names_every_package():
    assert {f"{package.name}/" for package in PACKAGES} - named(DOCS / "architecture.md") == set()


def test_every_page_that_the_code_cites_exists():
    sources = [file for package in [*PACKAGES, ROOT / "tests", ROOT / "docker", ROOT / "tools"] for file in package.rglob("*.*")]
    texts = [
        file for file in [*sources, ROOT / "Makefile", ROOT / "pyproject.toml"] if file.suffix in CITING or file.name == "Makefile"
    ]
    cited = {(name, file.name) for file in texts for name in re.findall(r"\bdocs/[\w./-]+\.(?:md|json|png)", file.read_text())}
    assert len(cited) > 20
    assert [(name, file) for name, file in sorted(cited) if not (ROOT / name).exists()] == []


def test_the_readme_names_both_commands_and_shows_the_dashboard():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "docs/images/dashboard.png" in readme


# --- Flags and environment variables


def flags(command: App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Command, flag and environment variable of every setting that a command line can have."""
    for name in command:
        if not name.startswith("-"):
            yield from flags(command[name], (*path, name))
    if path and command.default_command is not None:
        environment = Environment("SWARMSCOPE_")
        for argument in command.assemble_argument_collection():
            if argument.name.startswith("--"):
                variable = environment._convert_argument(path, argument)
                yield " ".join(path), argument.name, variable


def settings_page() -> Iterator[tuple[str, str, str, Path]]:
    """What docs/settings.md lists: command, flag, environment variable, and the page that explains them."""
    command, page = "", DOCS
    for line in (DOCS / "settings.md").read_text().splitlines():
        if heading := re.fullmatch(r"## `swarmscope (.+)`", line):
            command = heading[1]
        elif explained := re.fullmatch(r"Meaning and defaults: \[.+\]\(([^)#]+).*\)\.", line):
            page = DOCS / explained[1]
        elif row := re.fullmatch(r"\| `(--[\w-]+)` \| `(\w+)` \|", line):
            yield command, row[1], row[2], page


def test_every_flag_and_its_environment_variable_are_on_the_settings_page_and_no_other_is():
    assert {(command, flag, variable) for command, flag, variable, _ in settings_page()} == set(flags(app))


def test_every_flag_is_explained_on_the_page_of_its_command():
    explained = {page: page.read_text() for *_, page in settings_page()}
    missing = [(page.name, flag) for _, flag, _, page in settings_page() if re.search(rf"{flag}\b(?!-)", explained[page]) is None]
    assert missing == []


def test_every_other_environment_variable_that_the_code_reads_is_on_the_settings_page():
    flagged = {variable for _, _, variable in flags(app)}
    found = {text for package in PACKAGES for text in constants(package) if re.fullmatch(r"SWARMSCOPE_[A-Z_]*[A-Z]", text)}
    assert {"SWARMSCOPE_CONFIG", "SWARMSCOPE_KEY"} <= found
    assert found - flagged - named(DOCS / "settings.md") == set()


def constants(package: Path) -> Iterator[str]:
    """All texts in the code of a package."""
    for module in package.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


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


def test_every_page_of_the_dashboard_is_in_the_documentation():
    assert {page.path for page in DASHBOARD_PAGES} - named(DOCS / "dashboard.md") == set()


def test_every_reason_of_a_refusal_is_on_the_errors_page():
    reasons = {
        node.args[1].value
        for package in PACKAGES
        for module in package.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
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


def test_every_metric_of_the_monitoring_platform_is_on_the_metrics_page_and_no_other_is(tmp_path):
    """A live platform that follows a feedback server with one message of this moment has all of them but the webhooks'."""
    write_log(tmp_path / "logs", [record(received_ms=BEGIN_MS)])
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "low"\nmeasure = "mos"\nbelow = 1.5\n')
    listen = ("--alerts", "rules.toml", "--listen", "127.0.0.1:0")
    recorded = start_server("monitor", "--static", "logs", *listen, log=tmp_path / "recorded.log")
    live = start_server("monitor", "--feedback-server", "http://127.0.0.1:9", "--insecure", *listen, log=tmp_path / "live.log")
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
    assert {field.name for field in dataclasses.fields(Stats)} - named(DOCS / "sdk.md") == set()


# --- Measures and fields


def test_every_measure_is_in_the_table_of_the_measures_page():
    table = (DOCS / "measures.md").read_text().split("\n## Measures of the views\n")[1]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(MEASURES)
    assert set(FIGURES) - named(DOCS / "measures.md") - named(DOCS / "measures-of-views.md") == set()


def test_every_column_of_the_session_table_is_on_the_analyze_page():
    assert {*TEXTS, *PLAYBACK, *CUMULATIVE, *RATES} - named(DOCS / "analyze.md") == set()


@pytest.mark.parametrize("page", ["message", "record"])
def test_every_field_is_on_the_page_of_its_format_with_its_meaning(page):
    fields = {"message": FIELDS, "record": RECORD_FIELDS}[page]
    text = (DOCS / f"formats/{page}.md").read_text()
    assert [field.name for field in fields if f"| `{field.name}` |" not in text] == []
    if page == "message":
        assert [field.name for field in fields if field.meaning not in text] == []
