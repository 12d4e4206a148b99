"""Without a login nothing can be seen; with one, until it ends."""

import base64
import http.client
import re
import resource
from collections.abc import Callable
from contextlib import ExitStack, closing
from urllib.parse import quote

import pytest

from monitor_platform.access import user_file
from monitor_platform.access.proxies import Proxies
from monitor_platform.access.roles import VIEWS, UserRole
from monitor_platform.access.tickets import Tickets
from monitor_platform.api.openapi import openapi
from tests.harness.waiting import eventually
from tests.monitor_platform.access.conftest import ELSEWHERE, NAME, PASSWORD, PROXY, Answer, Dashboard, add_user
from tests.monitor_platform.access.websocket_client import Socket

PAGES = (
    "/",
    "/map",
    "/district",
    "/histogram",
    "/timeline",
    "/no-such-page",
    "/map/",
    "/static/js/bokeh.min.js",
    "/assets/dashboard.css",
)
EVERYWHERE = (
    *PAGES,
    "/api/v1/summary",
    "/api/v1/no-such",
    "/metrics",
    "/ws",
    "/map/ws",
    "/autoload.js",
    "/metadata",
    "//healthz",
    "/HEALTHZ",
)


def basic(name: str = NAME, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def forwarded(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


@pytest.fixture(scope="module")
def cookie(dashboard: Dashboard) -> str:
    return dashboard.log_in().cookie


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_without_a_login_nothing_can_be_read(dashboard, method):
    for path in EVERYWHERE:
        answer = dashboard.ask(path, method=method)
        assert answer.status in {303, 401}, path
        assert b"Bokeh" not in answer.body
        assert b"peers" not in answer.body


def test_pages_redirect_to_the_login_and_scripts_get_401(dashboard):
    page = dashboard.ask("/map?measure=mos&channel=a%26b")
    assert page.status == 303
    assert page.headers["Location"] == "./login?next=" + quote("/map?measure=mos&channel=a%26b", safe="")
    script = dashboard.ask("/api/v1/summary")
    assert (script.status, script.headers["Content-Type"], script.json()["reason"]) == (
        401,
        "application/problem+json",
        "login_needed",
    )
    assert script.headers["WWW-Authenticate"].startswith("Basic ")
    # A browser would show its own dialog, and never forget the answer.
    assert dashboard.ask("/api/v1/summary", {"Sec-Fetch-Mode": "cors"}).headers["WWW-Authenticate"] is None


def test_health_and_readiness_need_no_login(dashboard):
    assert (dashboard.ask("/healthz").status, dashboard.ask("/readyz").status) == (200, 200)


def test_after_the_login_the_requested_page_is_shown(dashboard):
    answer = dashboard.log_in(wanted="/map?measure=mos")
    assert (answer.status, answer.headers["Location"]) == (303, "./map?measure=mos")
    cookie_header = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie_header
    assert "SameSite=Lax" in cookie_header
    assert "Max-Age=43200" in cookie_header
    for path in ("/", "/map", "/api/v1/summary", "/metrics", "/assets/dashboard.css"):
        assert dashboard.ask(path, {"Cookie": answer.cookie}).status == 200, path
    assert dashboard.ask("/", {"Cookie": answer.cookie}).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "/\t/evil", "/login", "javascript:1", ""]
)
def test_after_the_login_no_redirect_leads_to_another_site(dashboard, wanted):
    assert dashboard.log_in(wanted=wanted, peer=PROXY, X_Forwarded_For="192.0.2.1").headers["Location"] == "./"


@pytest.mark.parametrize(
    ("name", "password"), [(NAME, "wrong"), ("nobody", PASSWORD), ("", ""), (NAME, PASSWORD + " "), ("<b>x</b>", "x")]
)
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(dashboard, name, password):
    answer = dashboard.log_in(name, password, peer=PROXY, X_Forwarded_For="192.0.2.2")
    assert (answer.status, answer.cookie) == (403, "")
    assert b"The name or the password is wrong." in answer.body
    assert b"<b>x" not in answer.body


def test_a_name_in_another_unicode_form_is_the_same_name(dashboard):
    add_user(dashboard.users, "Zo\u00eb", "caf\u00e9 au lait")
    assert dashboard.log_in("Zoe\u0308", "cafe\u0301 au lait").status == 303


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}])
def test_a_form_of_another_site_cannot_log_in(dashboard, headers):
    answer = dashboard.log_in(**headers)
    assert (answer.status, answer.cookie) == (403, "")


def test_a_form_of_another_site_cannot_log_out(dashboard, cookie):
    form_headers = {"Cookie": cookie, "Origin": "https://evil.example"}
    assert dashboard.ask("/logout", form_headers, method="POST", body="").status == 403
    assert dashboard.ask("/logout", {"Cookie": cookie}).status == 405
    assert dashboard.ask("/", {"Cookie": cookie}).status == 200


def test_only_a_cookie_that_the_platform_issued_is_a_login(dashboard, cookie):
    name, _, value = cookie.partition("=")
    body, _, signature = value.partition(".")
    theirs = Tickets(lasts_s=1000).issue(NAME, user_file.read(dashboard.users)[NAME].secret)
    forged = base64.urlsafe_b64encode('["王小明", "x", 9e99]'.encode()).decode().rstrip("=")
    wrong = [
        theirs,
        f"{forged}.{signature}",
        f"{body}.",
        body,
        "",
        ".",
        "a.b",
        f"{value}x",
        "[" * 400 + ".x",
        f"{body}.{signature[:-2]}AA",
    ]
    for each in wrong:
        assert dashboard.ask("/", {"Cookie": f"{name}={each}"}).status == 303, each
    assert dashboard.ask("/", {"Cookie": cookie}).status == 200


def test_a_logout_ends_the_login_for_every_copy_of_its_cookie(dashboard):
    cookie, another = dashboard.log_in().cookie, dashboard.log_in().cookie
    with Socket(dashboard.host, token=token_of(dashboard, cookie), Cookie=cookie) as socket:
        assert (socket.status, socket.opcode()) == (101, 1)
        answer = dashboard.ask("/logout", {"Cookie": cookie}, method="POST", body="")
        assert (answer.status, answer.headers["Location"]) == (303, "login")
        assert socket.close_code() == 1008
    assert dashboard.ask("/", {"Cookie": cookie}).status == 303
    assert dashboard.ask("/", {"Cookie": another}).status == 200


def token_of(dashboard: Dashboard, cookie: str) -> str:
    """The session token in a page."""
    page = dashboard.ask("/", {"Cookie": cookie}).body.decode()
    return re.search(r'swarmscope\.draw\("([^"]+)"', page)[1]


def test_a_websocket_needs_the_login_and_a_page_of_ours(dashboard, cookie):
    token = token_of(dashboard, cookie)
    assert Socket(dashboard.host, token=token).status == 401
    assert Socket(dashboard.host, token=token, Cookie="swarmscope=x").status == 401
    assert Socket(dashboard.host, token=token, Cookie=cookie, Origin="https://evil.example").status == 403
    assert Socket(dashboard.host, token=token, Cookie=cookie, Origin="http://[").status == 400
    with Socket(dashboard.host, token=token, Cookie=cookie) as socket:
        assert (socket.status, socket.opcode()) == (101, 1)
    for forged in ("none", token + "x", "e30.x", "W10.x", "\u00e9"):
        with Socket(dashboard.host, token=forged, Cookie=cookie) as socket:
            assert (socket.status, socket.close_code()) == (101, 1008), forged


@pytest.mark.soak
def test_viewers_who_left_are_removed(dashboard, cookie):
    dashboard.ask("/", {"Cookie": cookie})
    assert dashboard.counted("swarmscope_monitor_viewers", cookie) > 0
    eventually(lambda: dashboard.counted("swarmscope_monitor_viewers", cookie) == 0, within_s=90, every_s=1)


def test_bokeh_sessions_made_elsewhere_are_refused_with_and_without_a_login(dashboard, cookie):
    for path in ("/?bokeh-session-id=invented", "/?bokeh-token=%5B", "/map?bokeh-token=e30.x"):
        assert dashboard.ask(path, {"Cookie": cookie}).status == 403
    assert dashboard.ask("/", {"Cookie": cookie, "Bokeh-Session-Id": "x"}).status == 403
    for path in ("/autoload.js?bokeh-autoload-element=1", "/metadata"):
        assert dashboard.ask(path, {"Cookie": cookie}).status == 404


def test_scripts_log_in_with_each_request_and_only_on_api_routes(dashboard):
    for path in ("/metrics", "/api/v1/summary"):
        assert dashboard.ask(path, basic()).status == dashboard.ask(path, basic()).status == 200
        assert dashboard.ask(path, basic(password="wrong")).status == 401
    for wrong in ("Basic", "Basic !", "Basic " + base64.b64encode(b"no colon").decode(), "Bearer x"):
        assert dashboard.ask("/metrics", {"Authorization": wrong}).status == 401
    assert dashboard.ask("/", basic()).status == 303


def test_a_removed_user_is_logged_out_immediately(dashboard):
    name, password = "Mallory", "once a friend"
    add_user(dashboard.users, name, password)
    cookie = dashboard.log_in(name, password).cookie
    assert dashboard.ask("/metrics", basic(name, password)).status == 200
    with Socket(dashboard.host, token=token_of(dashboard, cookie), Cookie=cookie) as socket:
        assert (socket.status, socket.opcode()) == (101, 1)
        assert user_file.remove(dashboard.users, name)
        assert dashboard.ask("/", {"Cookie": cookie}).status == 303
        assert dashboard.ask("/metrics", basic(name, password)).status == 401
        assert socket.close_code() == 1008


def changes() -> list[tuple[str, str]]:
    """Method and path of each documented request that changes something."""
    paths = openapi()["paths"].items()
    return [(method.upper(), re.sub("{.*}", "0", path)) for path, methods in paths for method in methods if method != "get"]


def test_a_viewer_reads_everything_and_changes_only_own_views(dashboard):
    add_user(dashboard.users, "viewer", PASSWORD, UserRole.VIEWER)
    cookie = {"Cookie": dashboard.log_in("viewer").cookie}
    assert b'data-role="viewer"' in dashboard.ask("/timeline", cookie).body
    assert dashboard.ask("/api/v1/summary", cookie).status == 200
    assert len(changes()) >= 10
    for method, path in [*changes(), ("POST", "/api/v1/of-a-later-version"), ("PUT", "/")]:
        for credentials in (cookie, basic("viewer")) if path.startswith("/api/") else (cookie,):
            answer = dashboard.ask(path, credentials, method=method)
            refused = answer.status == 403 and answer.json()["reason"] == "not_a_manager"
            assert refused is not path.startswith(VIEWS), (method, path, answer.status)


def test_a_changed_role_applies_to_the_next_request(dashboard):
    add_user(dashboard.users, "promoted", PASSWORD, UserRole.VIEWER)
    cookie = {"Cookie": dashboard.log_in("promoted").cookie}
    for credentials in (cookie, basic("promoted")):
        assert user_file.set_role(dashboard.users, "promoted", UserRole.VIEWER)
        assert dashboard.ask("/api/v1/annotations", credentials, method="POST").status == 403
        assert user_file.set_role(dashboard.users, "promoted", UserRole.MANAGER)
        assert dashboard.ask("/api/v1/annotations", credentials, method="POST").status == 404  # recorded files have none
    assert b'data-role="manager"' in dashboard.ask("/", cookie).body


@pytest.mark.parametrize("role", [UserRole.VIEWER, UserRole.MANAGER])
def test_a_changed_role_closes_the_websocket_of_an_open_page_which_then_loads_again(dashboard, role):
    former = UserRole.MANAGER if role is UserRole.VIEWER else UserRole.VIEWER
    name = f"to {role}"
    add_user(dashboard.users, name, PASSWORD, former)
    add_user(dashboard.users, "with the same role", PASSWORD, former)
    cookie, other = dashboard.log_in(name).cookie, dashboard.log_in("with the same role").cookie
    with (
        Socket(dashboard.host, token=token_of(dashboard, cookie), Cookie=cookie) as socket,
        Socket(dashboard.host, token=token_of(dashboard, other), Cookie=other) as stays,
    ):
        assert (socket.opcode(), stays.opcode()) == (1, 1)
        assert user_file.set_role(dashboard.users, name, role)
        assert socket.close_code() == 1008
        stays.send_bokeh("PULL-DOC-REQ", {})
        assert stays.opcode() == 1
    assert f'data-role="{role}"'.encode() in dashboard.ask("/", {"Cookie": cookie}).body


def test_a_new_password_ends_the_logins_with_the_old_one(dashboard):
    add_user(dashboard.users, "Bob", "the first one")
    cookie = dashboard.log_in("Bob", "the first one").cookie
    add_user(dashboard.users, "Bob", "the second one")
    assert dashboard.ask("/", {"Cookie": cookie}).status == 303
    assert dashboard.log_in("Bob", "the second one").status == 303


def tries_until_refused(attempt: Callable[[int], Answer]) -> Answer:
    """The answer with Retry-After; ten tries are free, and another one with every half minute that they take."""
    for number in range(20):
        answer = attempt(number)
        if answer.status == 429:
            return answer
    pytest.fail("guesses are not limited")


def test_a_client_that_guesses_passwords_has_to_wait_and_others_do_not(dashboard, cookie):
    guesser, other = "192.0.2.66", "192.0.2.67"
    add_user(dashboard.users, "root", PASSWORD)
    refused = tries_until_refused(lambda n: dashboard.log_in("root", f"guess {n}", peer=PROXY, X_Forwarded_For=guesser))
    assert int(refused.headers["Retry-After"]) > 0
    scripts = tries_until_refused(lambda n: dashboard.ask("/metrics", basic("root", f"guess {n}") | forwarded(guesser), peer=PROXY))
    assert scripts.json()["reason"] == "too_many_attempts"
    assert dashboard.log_in(peer=PROXY, X_Forwarded_For=other).status == 303
    assert dashboard.counted('swarmscope_monitor_turned_away_total{reason="too_many_attempts"}', cookie) >= 2


def test_a_client_that_is_no_proxy_cannot_guess_under_other_addresses(dashboard):
    add_user(dashboard.users, "toor", PASSWORD)
    tries_until_refused(lambda n: dashboard.log_in("toor", "guess", peer="127.0.0.3", X_Forwarded_For=f"192.0.2.{n}"))


def test_only_a_proxy_can_name_the_user(dashboard):
    named = {"X-Forwarded-User": "alice"}
    assert dashboard.ask("/", named, peer=PROXY).status == 200
    assert dashboard.ask("/", named, peer=ELSEWHERE).status == 303
    assert dashboard.ask("/", named | forwarded(PROXY), peer=ELSEWHERE).status == 303
    assert dashboard.ask("/", {"X-Forwarded-User": " "}, peer=PROXY).status == 303
    assert Socket(dashboard.host, peer=PROXY).status == 401
    assert Socket(dashboard.host, peer=PROXY, **named).status == 101


def test_a_user_of_the_proxy_is_a_manager_unless_the_users_file_has_the_role_viewer(dashboard):
    add_user(dashboard.users, "viewer by proxy", PASSWORD, UserRole.VIEWER)
    statuses = [
        dashboard.ask("/api/v1/annotations", {"X-Forwarded-User": name}, method="POST", peer=PROXY).status
        for name in ("alice", "viewer by proxy")
    ]
    assert statuses == [404, 403]


def test_with_a_role_header_only_the_role_manager_makes_a_manager():
    proxies = Proxies(user_header="X-User", role_header="X-UserRole")
    assert proxies.role(["manager "]) is UserRole.MANAGER
    assert {proxies.role(lines) for lines in ([], [""], ["admin"], ["manager", "viewer"], ["viewer"])} == {UserRole.VIEWER}


def test_without_a_users_file_only_the_proxy_can_log_users_in(start, tmp_path):
    only = Dashboard(start("--trusted-user-header", "X-User", "--trusted-proxy", PROXY), tmp_path)
    assert only.ask("/", {"X-User": "王".encode().decode("latin-1")}, peer=PROXY).status == 200
    assert only.ask("/", peer=PROXY).json()["reason"] == "no_user_named"
    assert only.ask("/", {"X-User": "alice"}, peer=ELSEWHERE).json()["reason"] == "not_through_proxy"
    assert only.ask("/api/v1/summary", peer=ELSEWHERE).status == only.ask("/login", peer=ELSEWHERE).status - 1 == 403
    assert only.server.log_text() == ""


def test_a_users_file_that_becomes_unreadable_logs_no_user_out_and_is_logged_as_an_error(start, tmp_path):
    path = tmp_path / "users.txt"
    add_user(path, NAME, PASSWORD)
    kept = Dashboard(start("--users", str(path)), path)
    cookie = kept.log_in().cookie
    path.write_text("nonsense with a secret\n")
    eventually(lambda: "users stay the same" in kept.server.log_text())
    assert kept.ask("/", {"Cookie": cookie}).status == 200
    assert "a secret" not in kept.server.log_text()
    path.write_text("# nobody any more\n")
    eventually(lambda: kept.ask("/", {"Cookie": cookie}).status == 303)


def test_clients_without_a_login_cannot_occupy_all_connections_with_open_pages(start, user_path):
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128 + 20, hard))  # the platform keeps 128 files, and 20 connections remain
    try:
        crowded = Dashboard(start("--users", str(user_path)), user_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    host, _, port = crowded.host.partition(":")
    with ExitStack() as crowd:
        for _ in range(20):
            client = crowd.enter_context(closing(http.client.HTTPConnection(host, int(port), timeout=20)))
            client.request("GET", "/healthz")
            assert client.getresponse().read()
        cookie = crowded.log_in().cookie
        assert crowded.ask("/", {"Cookie": cookie}).status == 200
        assert crowded.counted('swarmscope_monitor_dropped_connections_total{reason="connections"}', cookie) > 0
