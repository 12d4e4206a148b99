"""Nothing is exposed by default, and an exposed dashboard needs explicit settings."""

from pathlib import Path

import pytest

from monitor_platform.entrance import allowed_hosts
from monitor_platform.settings import Settings

LIVE = {"feedback_server": ("http://127.0.0.1:8081",), "read_token": "k"}


def test_live_and_static_settings_are_distinguished():
    assert Settings(**LIVE).live
    assert not Settings(static=(Path("logs"),)).live


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({}, "--feedback-server URL"),
        (LIVE | {"static": (Path("logs"),)}, "not both"),
        ({"feedback_server": ("http://fs",)}, "--read-token"),
        (LIVE | {"listen": "0.0.0.0:8070"}, "--users"),
        (LIVE | {"listen": "10.0.0.5:8070"}, "--trusted-user-header"),
        (LIVE | {"listen": "10.0.0.5:8070", "behind_proxy": "https://m.example.org"}, "the dashboard needs --users"),
        (LIVE | {"listen": "10.0.0.5:8070", "users": Path("users.txt")}, "without encryption"),
        (LIVE | {"trusted_user_header": "X-Forwarded-User"}, "--trusted-proxy"),
        (LIVE | {"trusted_role_header": "X-Role"}, "needs --trusted-user-header"),
        (LIVE | {"trusted_user_header": "X User", "trusted_proxy": ("10.0.0.1",)}, "--trusted-user-header is"),
        (LIVE | {"trusted_proxy": ("10.0.0.300",)}, "--trusted-proxy"),
        (LIVE | {"session_hours": 0}, "--session-hours is 0"),
        (LIVE | {"session_hours": float("nan")}, "--session-hours is nan"),
        (LIVE | {"tls_cert": Path("cert.pem")}, "--tls-key belong together"),
        (LIVE | {"tls_client_key": Path("key.pem")}, "--tls-client-key belong together"),
        (LIVE | {"listen": "0.0.0.0:8070", "insecure": True}, "only on a loopback address"),
        (
            LIVE | {"listen": "10.0.0.5:8070", "insecure": True, "behind_proxy": "https://m.example.org"},
            "only on a loopback address",
        ),
        (LIVE | {"behind_proxy": "monitor.example.org"}, "scheme and host"),
        (LIVE | {"behind_proxy": "https://m.example.org/a/../b"}, "scheme and host"),
        (LIVE | {"behind_proxy": "https://m.example.org/path?x=1"}, "scheme and host"),
        (LIVE | {"listen": "8070"}, "127.0.0.1:8080"),
        (LIVE | {"listen": "localhost:99999"}, "127.0.0.1:8080"),
        (LIVE | {"poll_seconds": 0.5}, "at least 1 second"),
        (LIVE | {"poll_seconds": float("nan")}, "--poll-seconds is nan"),
        (LIVE | {"period": 0}, "--period is 0"),
        (LIVE | {"period": float("inf")}, "--period is inf"),
        (LIVE | {"keep_minutes": 0}, "--keep-minutes is 0"),
        (LIVE | {"keep_messages": 0}, "--keep-messages is 0"),
        (LIVE | {"memory_mib": 100}, "--memory-mib is 100"),
        (LIVE | {"history": Path("h"), "history_days": 0}, "--history-days is 0"),
        (LIVE | {"history_days": 30}, "needs --history FOLDER"),
    ],
)
def test_invalid_settings_are_refused_with_advice(settings, advice):
    with pytest.raises(ValueError, match=advice):
        Settings(**settings)


def test_a_key_is_never_shown():
    assert "secret" not in repr(Settings(feedback_server=("http://fs",), read_token="secret"))


def test_a_loopback_dashboard_is_known_by_its_two_names_and_no_other():
    assert allowed_hosts(Settings(**LIVE), 8070) == {"127.0.0.1:8070", "localhost:8070"}
    assert allowed_hosts(Settings(**LIVE | {"listen": "[::1]:8070"}), 8070) == {"[::1]:8070", "localhost:8070"}


def test_behind_a_proxy_it_is_known_by_its_public_name_too():
    settings = Settings(**LIVE | {"listen": "127.0.0.1:8070", "behind_proxy": "https://Monitor.example.org"})
    assert allowed_hosts(settings, 8070) == {"127.0.0.1:8070", "localhost:8070", "monitor.example.org", "monitor.example.org:80"}
