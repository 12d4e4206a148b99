"""The page of trainings: a real server of trainings behind a real platform, in a real browser."""

import csv
import dataclasses
import io
import json
import urllib.error
import urllib.request

import pytest

from feedback_wire.trainings import SessionStatus
from monitor_platform.access.roles import UserRole
from monitor_platform.api.training_handlers import MOST_ATTEMPTS
from qoe_lab.running.training_folder import create_training
from tests.harness.logs import record, write_log
from tests.harness.processes import NotReadyError, start_server
from tests.harness.waiting import eventually
from tests.monitor_platform.access.conftest import add_user
from tests.monitor_platform.dashboard.known_trainings import EVENING, HOSTILE, played, write_trainings
from tests.netlab.labs import needs_namespaces

TOKEN = "token-of-the-lab"
ATTEMPTS_ARE = "n => document.querySelectorAll('#attempts tbody tr').length === n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    write_trainings(folder / "trainings")
    server = start_server(
        *("lab", "serve", "--listen", "127.0.0.1:0", "--data", str(folder / "trainings"), "--most-running", "0"),
        log=folder / "log",
        env={"SWARMSCOPE_LAB_SERVE_TOKEN": TOKEN},
    )
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("platform")
    write_log(folder / "logs", [record()])
    (folder / "token").write_text(f"{TOKEN}\n")
    return folder


def monitor_of(folder, lab_url, *flags):
    """The command of a platform with this lab."""
    return ("monitor", "--static", str(folder / "logs"), "--listen", "127.0.0.1:0", "--lab-url", lab_url, *flags)


@pytest.fixture(scope="module")
def monitor(lab, folder):
    server = start_server(*monitor_of(folder, lab.url, "--lab-token-file", str(folder / "token")), log=folder / "log")
    yield server.url
    assert server.stop() == 0


def ask(url, path="", method="GET", body=None, headers=None):
    """The status and the JSON of the answer of the platform's interface for trainings."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json"} if body is not None else {}
    request = urllib.request.Request(f"{url}/api/v1/trainings{path}", data, sent | (headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def rows(page):
    return [row.split("\t") for row in page.page.locator("#trainings tbody tr").all_inner_texts()]


@pytest.mark.browser
def test_the_trainings_are_listed_with_their_state_and_progress(monitor, visit):
    page = visit(monitor, "/trainings")
    page.becomes("() => document.querySelectorAll('#trainings tbody tr').length === 2")
    states = dict(zip(page.page.locator("#trainings .link").all_inner_texts(), [row[0] for row in rows(page)], strict=True))
    assert states == {"hls-evening": "paused", "dash-night": "cancelled"}
    text = page.page.locator("#trainings tbody tr", has_text="hls-evening").inner_text()
    assert "3 of 7 captured, 1 discarded attempt" in text
    assert page.page.locator("#trainings-note").inner_text() == "2 trainings, 0 running"


@pytest.mark.browser
def test_a_training_is_shown_with_its_limits_its_reasons_and_every_attempt(monitor, visit):
    page = visit(monitor, "/trainings")
    page.page.get_by_role("button", name="hls-evening", exact=True).click()
    page.becomes("() => document.getElementById('training-title').textContent === 'Training hls-evening'")
    assert "p.training=hls-evening" in page.page.url
    assert page.page.locator("#training-failure").inner_text() == "It ended early: the disk is full"
    limits = [item.replace("\u202f", " ").split("\n") for item in page.page.locator("#training-limits li").all_inner_texts()]
    assert [limit[0] for limit in limits] == ["0.5 Mbit/s", "2 Mbit/s"]
    assert sorted(limit[-1][-1] for limit in limits) == ["3", "4"]  # equal shares of 7 sessions
    assert sum(int(limit[-1][0]) for limit in limits) == 3
    assert page.page.locator("#training-discarded li").all_inner_texts() == ["1 × no_first_frame"]
    page.page.locator("#training-status").select_option(label="discarded")
    page.becomes(ATTEMPTS_ARE, 1)
    assert HOSTILE in page.page.locator("#attempts tbody tr").inner_text()
    page.page.locator("#training-status").select_option(label="captured")
    page.becomes(ATTEMPTS_ARE, 3)
    assert page.page.locator("#attempts a").first.get_attribute("href").startswith("session?session_id=hls-evening-")


@pytest.mark.browser
def test_the_form_plans_equal_shares_and_shows_why_the_lab_refuses(monitor, visit):
    page = visit(monitor, "/trainings")
    form = page.page.locator("#training-form")
    form.get_by_label("Number of videos").fill("100")
    form.get_by_label("Limits in Mbit/s").fill("0.25, 1, 2")
    assert "33 or 34 sessions at each of 3 limits" in page.page.locator("#training-plan").inner_text()
    form.get_by_label("Source").select_option("dash")
    assert form.get_by_label("Client").locator("option").all_inner_texts() == ["headless", "dash.js"]
    form.get_by_label("Name").fill("new-one")
    form.locator("summary").click()
    form.get_by_label("Rate follows").select_option("norway3g-b")
    form.get_by_label("Seed").fill("7")
    form.get_by_label("Limits in Mbit/s").fill("0.25, 0.25")
    form.get_by_role("button", name="Begin").click()
    page.becomes("() => document.getElementById('training-wrong').textContent.includes('different numbers')")
    form.get_by_label("Limits in Mbit/s").fill("0.25, 1")
    with page.page.expect_request(lambda sent: sent.method == "POST") as begun:
        form.get_by_role("button", name="Begin").click()
    sent = begun.value.post_data_json
    assert (sent["trace"], sent["seed"], sent["limits_mbps"]) == ("norway3g-b", 7, [0.25, 1])
    page.becomes("() => document.getElementById('training-wrong').textContent.includes('--most-running')")
    # The browser logs the two refused requests as errors.
    assert all("Failed to load resource" in each for each in page.wrong)
    page.wrong.clear()


@pytest.mark.browser
def test_a_training_is_cancelled_after_a_confirmation_and_other_pages_see_it(folder, serve, visit):
    training = create_training(folder / "cancelled" / "to-cancel", dataclasses.replace(EVENING, name="to-cancel"), {})
    own = serve("lab", "serve", "--listen", "127.0.0.1:0", "--data", str(training.path.parent), "--insecure")
    server = serve(*monitor_of(folder, own.url))
    page, other = visit(server.url, "/trainings"), visit(server.url, "/trainings")
    page.page.get_by_role("button", name="Cancel: to-cancel").click()
    page.page.get_by_role("button", name="Keep it").click()
    assert not training.is_cancelled
    page.page.get_by_role("button", name="Cancel: to-cancel").click()
    page.page.get_by_role("button", name="Cancel the training").click()
    other.becomes("() => document.querySelector('#trainings .severity')?.textContent === 'cancelled'")
    assert training.is_cancelled


def test_an_answer_has_the_newest_attempts_of_a_large_training(folder, serve, tmp_path):
    large = dataclasses.replace(EVENING, name="large", sessions=MOST_ATTEMPTS + 100)
    training = create_training(tmp_path / "trainings" / large.name, large, {})
    played(training, 599, 1, SessionStatus.UNDER_CAPTURING)
    own = serve("lab", "serve", "--listen", "127.0.0.1:0", "--data", str(training.path.parent), "--insecure")
    server = serve(*monitor_of(folder, own.url))
    _, answer = ask(server.url, "/large")
    assert (len(answer["sessions"]), answer["attempts"]) == (MOST_ATTEMPTS, large.sessions)
    assert answer["sessions"][0]["number"] == 599
    assert ask(server.url, "/large?status=1")[1]["attempts"] == 0
    assert ask(server.url, "/large?status=9")[0] == 400


def test_trainings_and_all_attempts_of_one_are_offered_as_csv(monitor):
    def table(path):
        with urllib.request.urlopen(f"{monitor}/api/v1/trainings{path}", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/csv")
            return {row["name"] if "name" in row else row["number"]: row for row in csv.DictReader(io.TextIOWrapper(answer))}

    trainings = table("?format=csv")
    assert set(trainings) == {"hls-evening", "dash-night"}
    evening = trainings["hls-evening"]
    assert (evening["limits_mbps"], evening["captured"], evening["discarded"]) == ("0.5 2", "3", "no_first_frame=1")
    assert (evening["state"], evening["seed"], evening["dataset"]) == ("paused", "1", "false")
    attempts = table("/hls-evening?format=csv")
    assert len(attempts) == EVENING.sessions
    assert (attempts["3"]["status"], attempts["3"]["detail"]) == ("discarded", HOSTILE)
    assert table("/hls-evening?format=csv&status=1").keys() == {"0", "1", "2"}
    assert ask(monitor, "?format=xml")[0] == 400


def test_a_lab_that_does_not_answer_or_refuses_the_token_is_named_with_the_reason(lab, folder, serve):
    wrong = folder / "wrong"
    wrong.write_text("another-token\n")
    for url, flags, expected in (
        (lab.url, ("--lab-token-file", str(wrong)), "check --lab-token-file"),
        (lab.url, (), "check --lab-token-file"),
        ("http://127.0.0.1:9", (), "no answer from http://127.0.0.1:9"),
    ):
        server = serve(*monitor_of(folder, url, *flags))
        status, problem = ask(server.url)
        assert (status, problem["reason"]) == (503, "lab_unavailable")
        assert expected in problem["detail"]
        assert TOKEN not in json.dumps(problem)


def test_refusals_of_the_lab_reach_the_user_with_their_reason(monitor):
    assert ask(monitor, "/nobody")[1]["reason"] == "no_such_training"
    assert ask(monitor, "/hls-evening/pause", "POST")[1]["reason"] == "wrong_state"
    assert ask(monitor, "", "POST", {"name": "x"})[1]["reason"] == "invalid_request"
    taken = EVENING.to_json() | {"name": "dash-night"}
    assert ask(monitor, "", "POST", taken)[0] in (409, 503)
    assert ask(monitor, "/..%2f..%2fetc")[0] == 404


def test_another_site_cannot_change_a_training(monitor):
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path, body in (("", EVENING.to_json()), ("/hls-evening/cancel", None)):
        status, problem = ask(monitor, path, "POST", body, foreign)
        assert (status, problem["reason"]) == (403, "foreign_origin")
    assert ask(monitor, "/hls-evening")[1]["state"] == "paused"


@pytest.fixture
def tab(browser):
    """An empty tab, for a page with a login."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.mark.browser
def test_a_viewer_sees_trainings_and_cannot_change_them(lab, folder, serve, tab, tmp_path):
    users = tmp_path / "users.txt"
    add_user(users, "eve", "a long password of eve", UserRole.VIEWER)
    server = serve(*monitor_of(folder, lab.url, "--lab-token-file", str(folder / "token"), "--users", str(users)))
    tab.goto(f"{server.url}/login?next=/trainings")
    tab.fill("input[name=name]", "eve")
    tab.fill("input[name=password]", "a long password of eve")
    tab.click("button")
    tab.wait_for_selector("#trainings .link")
    assert tab.get_by_role("button", name="Begin").is_disabled()
    assert tab.get_by_role("button", name="Cancel: hls-evening").is_disabled()
    refused = tab.evaluate("""async () => (await fetch("api/v1/trainings/hls-evening/cancel", { method: "POST" })).json()""")
    assert refused["reason"] == "not_a_manager"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--lab-url", "127.0.0.1:8050"), "--lab-url is '127.0.0.1:8050'"),
        (("--lab-token-file", "token"), "--lab-token-file needs --lab-url"),
        (("--lab-url", "http://127.0.0.1:1", "--lab-token-file", "missing"), "no such file or folder"),
    ],
)
def test_wrong_settings_of_the_lab_end_the_start_with_the_reason(folder, flags, expected, tmp_path):
    log = tmp_path / "log"
    with pytest.raises(NotReadyError):
        start_server("monitor", "--static", str(folder / "logs"), "--listen", "127.0.0.1:0", *flags, log=log)
    assert expected in log.read_text()


@pytest.mark.soak
@pytest.mark.browser
@needs_namespaces
def test_a_training_begins_on_the_page_plays_a_session_and_is_paused_and_resumed(folder, serve, visit, tmp_path):
    own = serve("lab", "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "trainings"), "--insecure")
    server = serve(*monitor_of(folder, own.url))
    page = visit(server.url, "/trainings")
    form = page.page.locator("#training-form")
    for label, value in (("Name", "short"), ("Number of videos", "3"), ("Seconds of each", "6"), ("Limits in Mbit/s", "2")):
        form.get_by_label(label).fill(value)
    form.get_by_role("button", name="Begin").click()
    state = "s => document.querySelector('#trainings .severity')?.textContent === s"
    page.becomes(state, "running")
    eventually(lambda: ask(server.url, "/short")[1]["captured"] >= 1, "a session is captured", within_s=180)
    page.page.get_by_role("button", name="Pause: short").click()
    page.becomes(state, "paused")
    page.page.get_by_role("button", name="Resume: short").click()
    eventually(lambda: ask(server.url, "/short")[1]["state"] == "finished", "the training ends", within_s=240)
    page.becomes(state, "finished")
