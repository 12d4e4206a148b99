"""Changes of the rules file: comments stay, and invalid rules and changes of other processes are refused."""

import os
import stat

import pytest

from feedback_wire.problem import Problem
from monitor_platform.alerts.rules import BadRules
from monitor_platform.alerts.rules_file import RulesFile, changed_text

TEXT = """# Rules of the operations team.

[[rule]]
name = "low"       # for all
measure = "mos"
below = 3.3        # agreed in May

# Ask Mei before you change this one.
[[rule]]
name = "stalls"
measure = "continuity"
by = "isp"
below = 0.95

[[webhook]]
url_env = "HOOK"
"""
STALLS = {"name": "stalls", "measure": "continuity", "by": ["isp"], "below": 0.95}


@pytest.fixture(autouse=True)
def hook(monkeypatch):
    monkeypatch.setenv("HOOK", "https://hook.example/secret")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "rules.toml").write_text(TEXT)
    return RulesFile(tmp_path / "rules.toml")


def test_a_changed_rule_keeps_its_place_and_all_comments():
    changed = changed_text(TEXT, {"name": "low", "measure": "mos", "below": 3.3, "for_minutes": 5}, replaces="low")
    assert changed == TEXT.replace("# agreed in May\n", "# agreed in May\nfor_minutes = 5\n")
    assert changed_text(TEXT, STALLS | {"below": 0.9}, replaces="stalls") == TEXT.replace('by = "isp"', 'by = ["isp"]').replace(
        "0.95", "0.9"
    )


def test_a_new_rule_is_written_at_the_end_and_a_removed_one_leaves_the_others():
    new = {"name": 'new "x"', "measure": "mos", "above": 4, "where": {"channel": "翡翠台\n"}}
    added = changed_text(TEXT, new, replaces=None)
    assert added.startswith(TEXT)
    assert added[len(TEXT) :] == ('\n[[rule]]\nname = "new \\"x\\""\nmeasure = "mos"\nabove = 4\nwhere = {channel = "翡翠台\\n"}\n')
    removed = changed_text(TEXT, None, replaces="low")
    assert '"low"' not in removed
    assert {"# Rules of the operations team.", "# Ask Mei before you change this one."} <= set(removed.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        'rule = [{name = "low", measure = "mos", below = 3}, {name = "x", measure = "mos", below = 2}]\n',
        '[[rule]]\nname = """\n[[rule]]\n"""\nmeasure = "mos"\nbelow = 3\n[[rule]]\nname = "low"\nmeasure = "mos"\nbelow = 2\n',
    ],
)
def test_a_file_in_an_unusual_form_is_refused_and_not_damaged(text):
    with pytest.raises(ValueError, match="change it in an editor"):
        changed_text(text, {"name": "low", "measure": "mos", "below": 1}, replaces="low")


def test_a_rule_with_a_table_of_its_own_for_where_is_changed():
    text = TEXT.replace("below = 0.95\n", 'below = 0.95\n[rule.where]\nchannel = "x"  # one\n')
    assert changed_text(text, STALLS | {"by": "isp", "where": {"channel": "x"}, "below": 0.9}, replaces="stalls") == text.replace(
        "0.95", "0.9"
    )


def test_a_change_is_written_and_applies_to_the_next_change(file):
    rules = file.change(STALLS | {"name": "new"}, replaces=None, revision=file.revision)
    assert [rule.name for rule in rules.rules] == ["low", "stalls", "new"]
    rules = file.change(None, replaces="new", revision=file.revision)
    assert [rule.name for rule in RulesFile(file.path).rules.rules] == [rule.name for rule in rules.rules] == ["low", "stalls"]
    assert not file.has_changed()
    assert [path.name for path in file.path.parent.iterdir()] == ["rules.toml"]


@pytest.mark.parametrize(
    ("entry", "replaces", "words"),
    [
        (STALLS | {"name": "low"}, "stalls", "two rules have the name"),
        (STALLS, "unknown", "no rule with the name"),
        (STALLS | {"above": 1}, "stalls", "give one of below, above and deviates"),
        (STALLS | {"measure": "rm -rf"}, None, "extra.NAME, or peers"),
        (STALLS | {"shell": "x"}, None, "'shell' is unknown"),
        (STALLS | {"by": 5}, "stalls", "not iterable"),
    ],
)
def test_an_invalid_change_is_refused_and_the_file_stays(file, entry, replaces, words):
    with pytest.raises(ValueError, match=words):
        file.change(entry, replaces=replaces, revision=file.revision)
    assert file.path.read_text() == TEXT


def test_the_last_rule_cannot_be_removed(file):
    file.change(None, replaces="low", revision=file.revision)
    with pytest.raises(BadRules, match="has no"):
        file.change(None, replaces="stalls", revision=file.revision)
    assert '"stalls"' in file.path.read_text()


def test_a_change_of_another_process_is_noticed_and_not_overwritten(file):
    other = TEXT.replace("0.95", "0.5")
    file.path.write_text(other)
    assert file.has_changed()
    with pytest.raises(Problem) as refused:
        file.change(STALLS, replaces="stalls", revision=file.revision)
    assert (refused.value.status, file.path.read_text()) == (409, other)
    before = file.revision
    assert file.load().rules[1].below == 0.5
    with pytest.raises(Problem):
        file.change(STALLS, replaces="stalls", revision=before)  # the page has not seen the loaded file yet
    file.change(STALLS | {"below": 0.6}, replaces="stalls", revision=file.revision)
    assert file.path.read_text() == other.replace("below = 0.5", "below = 0.6").replace('by = "isp"', 'by = ["isp"]')


def test_an_invalid_file_is_not_loaded(file):
    file.path.write_text("[[rule]]\n")
    with pytest.raises(BadRules, match="no name"):
        file.load()
    assert [rule.name for rule in file.rules.rules] == ["low", "stalls"]


def test_a_link_and_the_mode_of_the_file_stay(file):
    file.path.chmod(0o640)
    link = file.path.with_name("link.toml")
    link.symlink_to(file.path)
    linked = RulesFile(link)
    linked.change(STALLS | {"below": 0.9}, replaces="stalls", revision=linked.revision)
    assert link.is_symlink()
    assert "0.9" in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_that_cannot_be_written_is_named(file):
    assert file.why_not_writable() == ""
    file.path.chmod(0o440)
    assert "cannot be written" in file.why_not_writable()
