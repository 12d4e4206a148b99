"""Rules for all modules of our packages, checked in their syntax trees.

No module runs outside input, compares a secret byte by byte, or writes text in the encoding of the locale. A public name means one
thing in all packages.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from swarmscope.__main__ import PACKAGES
from tests.harness.slow_files import SLOW_FILES, TESTS

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "jsonpickle", "xmlrpc", "telnetlib", "ftplib"}
"""Reading these formats runs code, or these protocols are unencrypted."""

CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "tempfile.mktemp"}
READS_THAT_MAY_WAIT = (".read_text", ".read_bytes")
"""They wait for a writer if the name is that of a pipe. `serving.regular_files` refuses a pipe."""
OWN_FILES = {
    "endhost_sdk": "the SDK imports no server code",
    "netlab": "netlab imports no other package",
    "feedback_analysis/geo/maps.py": "part of the package",
    "feedback_analysis/reading/usable_memory.py": "/proc and /sys",
    "monitor_platform/dashboard/html_report.py": "part of the package",
    "monitor_platform/dashboard/joined_files.py": "part of the package",
    "qoe_lab/clients/browser_player.py": "part of the package",
    "qoe_lab/clients/scratch_folder.py": "/proc",
    "qoe_lab/models/report_page.py": "part of the package",
    "qoe_lab/running/environment.py": "/proc",
    "qoe_lab/scoring/packet_ring.py": "/sys",
    "swarmscope/audience/addresses.py": "part of the package",
}
"""Modules, and packages, that read whole files only if their kind is known."""

UNVERIFIED = {"ssl._create_unverified_context", "ssl._create_default_https_context"}

SECRET = re.compile(r"(^|_)(keys?|secrets?|tokens?|passwords?|cookie|signature|digest|authorization|bearer)$", re.IGNORECASE)
HARMLESS = {
    "key == key.strip()": "a key beside itself",
    "getpass.getpass('Repeat the password: ') != password": "who typed both sits at the terminal",
    "self.users.hash_of(visitor.name) != visitor.secret": "two hashes that the server read from its own file, now and at the login",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What the tests of this file know about a module. Syntax trees would take hundreds of MiB."""

    lines: int
    forbidden: list[str]
    """Forbidden things, with their lines."""
    exemptions: set[str]
    """The texts of HARMLESS that the module contains."""
    shown_secrets: list[str]
    long_functions: list[str]
    defined_names: list[str]
    imports: set[str]
    reads: list[str]
    """Reads that wait if the file is a pipe, with their lines."""


def module_of(source: str) -> Module:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    return Module(
        lines=len(source.splitlines()),
        forbidden=list(forbidden_things(nodes)),
        exemptions={ast.unparse(node) for node in nodes if isinstance(node, ast.Compare) and ast.unparse(node) in HARMLESS},
        shown_secrets=list(shown_secrets(nodes)),
        long_functions=list(long_functions(nodes)),
        defined_names=list(defined_names(tree.body)),
        imports=set(imported_modules(nodes)),
        reads=list(reads_that_may_wait(nodes)),
    )


@cache
def modules() -> dict[str, Module]:
    """Each module of our packages by its path. To parse them takes seconds, so it is done once, and not at the collection."""
    return {str(path.relative_to(ROOT)): module_of(path.read_text("utf-8")) for path in FILES}


def forbidden_things(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The forbidden things in a module, with their lines."""
    for node in nodes:
        for what in (*_imports(node), *_calls(node), *_comparisons(node), *_raises(node)):
            yield f"line {node.lineno}: {what}"


def reads_that_may_wait(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        name = _dotted(node.func) if isinstance(node, ast.Call) else ""
        if name.endswith(READS_THAT_MAY_WAIT):
            yield f"line {node.lineno}: {name}"


def _imports(node: ast.AST) -> Iterator[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
    yield from (f"imports {name}" for name in names if name.partition(".")[0] in MODULES)


def _calls(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = _dotted(node.func)
    if name in CALLS | UNVERIFIED:
        yield f"calls {name}"
    if name.endswith((".read_text", ".write_text")) and "encoding" not in [keyword.arg for keyword in node.keywords]:
        yield f"calls {name} in whatever encoding the locale has"
    for keyword in node.keywords:
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            yield f"calls {name} with a shell"
        if keyword.arg in ("verify", "ssl") and isinstance(keyword.value, ast.Constant) and keyword.value.value is False:
            yield f"calls {name} without verifying certificates"


def _dotted(node: ast.expr) -> str:
    """A name with its attributes, such as `os.system`; `…` stands for any other expression before an attribute."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "…"


def _comparisons(node: ast.AST) -> Iterator[str]:
    """`==` and `!=` end at the first different byte, so their duration reveals how much of a guess is right."""
    if not isinstance(node, ast.Compare) or not any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops):
        return
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides) or any(_is_count(side) for side in sides):
        return  # with a public value, such as an empty key
    names = [side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else "" for side in sides]
    if any(map(SECRET.search, names)) and ast.unparse(node) not in HARMLESS:
        yield f"compares {ast.unparse(node)}; use hmac.compare_digest"


def _raises(node: ast.AST) -> Iterator[str]:
    """An exception object that is raised repeatedly collects the frames of every raise, with all their variables."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id.isupper():
        yield f"raises the constant {node.exc.id}, which then grows without end; make a new exception each time"


def _is_count(side: ast.expr) -> bool:
    return isinstance(side, ast.Call) and ast.unparse(side.func) in ("len", "type", "set", "sorted")


def test_files_that_a_setting_or_a_folder_names_are_read_without_waiting():
    found = {path: module.reads for path, module in modules().items() if module.reads}
    exempt = {path for path in found if path in OWN_FILES or path.partition("/")[0] in OWN_FILES}
    assert {path: found[path] for path in found.keys() - exempt} == {}


def test_no_module_runs_outside_input_compares_secrets_byte_by_byte_or_uses_the_locale():
    assert {path: module.forbidden for path, module in modules().items() if module.forbidden} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval(text)",
        "exec(text)",
        "os.system(command)",
        "path.write_text(text)",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=asked)",
        "yaml.load(text)",
        "ssl._create_unverified_context()",
        "session.get(url, ssl=False)",
        "raise BUSY",
        "raise _TOO_MANY from None",
        "presented == token",
        "self.read_key != presented",
        "if user.password == password: pass",
        "request.headers['authorization'] == expected_token",
    ],
)
def test_the_check_finds_each_forbidden_thing(source: str):
    assert len(module_of(source).forbidden) == 1


def test_every_exemption_is_still_needed():
    assert set(HARMLESS) == set().union(*(module.exemptions for module in modules().values()))


NO_SECRETS = {
    "RefusedMessage.key": "the name of an ingest key",
    "Rollup.keys": "columns of a table",
}


def shown_secrets(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The fields of dataclasses that are named like a secret, hold text or bytes, and appear in the dataclass's repr."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and _is_shown_secret(field):
                    yield f"{node.name}.{ast.unparse(field.target)}"


def _is_shown_secret(field: ast.AnnAssign) -> bool:
    holds_text = re.search(r"\b(str|bytes)\b", ast.unparse(field.annotation)) is not None
    hidden = field.value is not None and "repr=False" in ast.unparse(field.value)
    return SECRET.search(ast.unparse(field.target)) is not None and holds_text and not hidden


def test_no_dataclass_shows_a_secret_in_its_repr():
    found = {shown for module in modules().values() for shown in module.shown_secrets}
    assert found == set(NO_SECRETS), "give the field repr=False, or list it here with the reason"


def test_a_secret_that_a_dataclass_would_show_is_found():
    source = "@dataclass(frozen=True)\nclass A:\n    {}\n"
    assert module_of(source.format("read_token: str = field(default='')")).shown_secrets == ["A.read_token"]
    assert module_of(source.format("read_token: str = field(default='', repr=False)")).shown_secrets == []
    assert module_of(source.format("tls_key: Path | None = None")).shown_secrets == []


ASSETS = sorted(path for path in (ROOT / "monitor_platform").rglob("*.*") if path.suffix in {".html", ".js", ".css"})
ROOTED = re.compile(r"""(?:href|src|action|fetch|url)[^\w.]{1,3}/(?![/*])|[`"']/[a-z?]""")
"""A link that begins at the root of the host. Comparisons with a path in a template are no links."""


def test_links_of_pages_are_relative_because_a_proxy_may_publish_them_under_a_path():
    lines = [(path.name, line.strip()) for path in ASSETS for line in path.read_text("utf-8").splitlines()]
    assert len(lines) > 1000
    assert [(name, line) for name, line in lines if ROOTED.search(line.replace('== "/', ""))] == []


def test_a_link_from_the_root_is_found():
    rooted = (
        '<a href="/alerts">',
        "fetch(`/api/v1/x`)",
        "`/sessions?${query}`",
        "`/api/v1/silences/${id}`",
        'href: "/alerts"',
        "href='/'",
    )
    assert [link for link in rooted if not ROOTED.search(link)] == []


def test_all_packages_were_read():
    assert len(FILES) > 150
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == {*PACKAGES}


SHARED_NAMES = {
    "Settings": "what the flags of a command set; no module uses the settings of two commands",
    # Active measurement is a room of its own: no module uses its names together with those of another room.
    "Address": "of a host: an object of ipaddress, or its text",
    "Delay": "of a packet, or of the display",
    "Destination": "where a coordinator sends batches, or what an agent measures",
    "Hop": "of a path through the overlay, or of a route",
    "Opened": "a log that is read, or a session of a responder",
    "Outcome": "of sending a batch, or of a measurement",
    "PlannedSession": "of a simulated audience, or of a training",
    "Purpose": "of a proof, or of a session of a responder",
    "Refused": "a message, or a session of a responder",
    "Step": "of a handshake, or in a function that is fitted",
    "Text": "in messages, with a limit",
    "Evidence": "what an alert rule or a diagnosis found",
    "Verdict": "on a request that was answered, or of a diagnosis",
}

SHARED_FILE_NAMES = {
    "openapi": "the OpenAPI document of a server, and in serving what these documents share",
    "registry": "the measures, or the techniques of measurement, by their names",
    "server": "starts the server of the package",
    "settings": "the settings of the package",
}


def defined_names(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """The public classes and type aliases of a module. Type variables only have a meaning within their module."""
    for node in statements:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not isinstance(node.value, ast.Call | None):
            target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            if re.fullmatch(r"[A-Z]\w*[a-z]\w*", target):
                yield target


def test_a_public_name_of_a_class_or_type_means_one_thing():
    paths = defaultdict(set)
    for path, module in modules().items():
        for name in module.defined_names:
            paths[name].add(path)
    twice = {name: sorted(found) for name, found in paths.items() if len(found) > 1 and not name.startswith("_")}
    assert set(twice) == set(SHARED_NAMES), f"rename one, or list the name here with the reason: {twice}"


def test_two_modules_have_the_same_file_name_only_if_they_have_the_same_role():
    paths = defaultdict(list)
    for path in FILES:
        if path.parent.name != "commands":  # these have the names of their subcommands
            paths[path.stem].append(str(path.relative_to(ROOT)))
    twice = {name: found for name, found in paths.items() if len(found) > 1 and not name.startswith("__")}
    assert set(twice) == set(SHARED_FILE_NAMES), f"rename one, or list the name here with the reason: {twice}"


MOST_LINES = 400
MOST_FUNCTION_LINES = 40
"""Without the signature and the docstring, which is the help text of a command."""


def long_functions(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The functions of more than MOST_FUNCTION_LINES lines."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if len(node.body) > 1 and ast.get_docstring(node) is not None else node.body
            if (node.end_lineno or 0) - body[0].lineno + 1 > MOST_FUNCTION_LINES:
                yield node.name


def test_modules_and_functions_are_short():
    assert [path for path, module in modules().items() if module.lines > MOST_LINES] == []
    assert {path: module.long_functions for path, module in modules().items() if module.long_functions} == {}


def test_a_long_function_is_found():
    source = 'def f():\n    """Help.' + "\n" * 50 + '"""\n    a = 1\n'
    assert module_of(source).long_functions == []
    assert module_of(source + "    b = 2\n" * 40).long_functions == ["f"]


def test_the_names_that_a_module_defines_are_found():
    source = "class A: ...\nNames = dict[str, int]\nRow: TypeAlias = int\nT_co = TypeVar('T_co')\nMOST = 5\nfrom x import Y\n"
    assert module_of(source).defined_names == ["A", "Names", "Row"]


def test_a_module_of_serving_has_at_least_two_importing_packages() -> None:
    importers = {path.stem: importing_packages(f"serving.{path.stem}") for path in (ROOT / "serving").glob("[!_]*.py")}
    assert len(importers) > 10
    assert {module: found for module, found in importers.items() if len(found) < 2} == {}, "move a module to its only importer"


def importing_packages(module: str) -> set[str]:
    """The packages that import a module of serving, directly or through another module of serving."""
    importing = [Path(path) for path, each in modules().items() if module in each.imports]
    packages = {path.parts[0] for path in importing} - {"serving"}
    return packages.union(*(importing_packages(f"serving.{path.stem}") for path in importing if path.parts[0] == "serving"))


def imported_modules(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_file_in_the_order_of_slow_test_files_exists() -> None:
    assert [name for name in SLOW_FILES if not (TESTS / name).exists()] == []
