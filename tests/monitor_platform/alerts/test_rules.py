"""An invalid rules file is refused with advice before anything runs."""

import pytest

from monitor_platform.alerts.rules import BadRules, read_rules

GOOD = '[[rule]]\nname = "low MOS"\nmeasure = "mos"\nbelow = 3.0\n'


def rules_in(tmp_path, text):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return read_rules(path)


def test_a_rule_has_a_measure_slices_and_a_bound(tmp_path):
    [rule] = rules_in(
        tmp_path,
        '[[rule]]\nname = "ISP in trouble"\nmeasure = "continuity"\nby = ["isp", "district"]\nwhere = {channel = "乒乓球"}\n'
        'below = 0.95\nfor_minutes = 3\nseverity = "critical"\n',
    ).rules
    assert (rule.by, rule.where, rule.below, rule.for_minutes) == (("isp", "district"), {"channel": "乒乓球"}, 0.95, 3)
    assert rule.least_sessions == 25
    assert not rule.worse_is_higher


def test_whether_high_or_low_values_are_bad_follows_from_bound_and_measure(tmp_path):
    text = "".join(
        f'[[rule]]\nname = "{name}"\nmeasure = "{name}"\n{bound}\n'
        for name, bound in (
            ("startup_ms", "deviates = 4"),
            ("mos", "deviates = 4"),
            ("buffer_ms", "above = 9"),
            ("peers", "below = 10"),
        )
    )
    assert [rule.worse_is_higher for rule in rules_in(tmp_path, text).rules] == [True, False, True, False]


def test_a_webhooks_address_may_be_in_the_environment_and_is_never_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("OUR_HOOK", "https://chat.example.org/hooks/s3cret")
    [webhook] = rules_in(tmp_path, GOOD + '[[webhook]]\nurl_env = "OUR_HOOK"\nshape = "slack"\n').webhooks
    assert (webhook.url, webhook.host) == ("https://chat.example.org/hooks/s3cret", "chat.example.org")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no [[rule]]"),
        ("[[rule]", "cannot be read"),
        ("a = " + "[" * 5_000, "cannot be read"),
        ("[rule]\nname = 1\n", "[[rule]]"),
        ('[[rule]]\nmeasure = "mos"\n', "no name"),
        ('[[rule]]\nname = "x"\nmeasure = "moss"\nbelow = 3\n', "'moss'"),
        ('[[rule]]\nname = "x"\nbelow = 3\n', "measure is missing"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\n', "one of below, above and deviates"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nabove = 4\n', "one of below, above and deviates"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = "low"\n', "below is 'low'"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\ndeviates = 0\n', "deviates is 0"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nby = "weather"\n', "'weather'"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nby = "session_id"\n', "'session_id'"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nwhere = {channel = 1}\n', "where and by take texts"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nfor_minutes = 0\n', "for_minutes is 0"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nseverity = "bad"\n', "severity is 'bad'"),
        ('[[rule]]\nname = "x"\nmeasure = "mos"\nbelow = 3\nbelwo = 3\n', "'belwo'"),
        (GOOD + GOOD, "two rules have the name 'low MOS'"),
        (f"rule = {'[' * 10_000}", "maximum recursion depth exceeded"),
        (GOOD + '[[webhook]]\nurl = "ftp://x"\n', "a webhook needs url"),
        (GOOD + '[[webhook]]\nurl_env = "NOT_THERE_AT_ALL"\n', "NOT_THERE_AT_ALL"),
        (GOOD + '[[webhook]]\nurl = "http://x"\nshape = "teams"\n', "'teams'"),
    ],
)
def test_invalid_rules_are_refused_with_advice(tmp_path, text, reason):
    with pytest.raises(BadRules) as refused:
        rules_in(tmp_path, text)
    assert reason in str(refused.value)
    assert "rules.toml" in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadRules, match=r"nowhere\.toml"):
        read_rules(tmp_path / "nowhere.toml")
