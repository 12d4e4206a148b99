"""The users file: readable names, and hashes that are expensive to test."""

import re
import stat

import pytest

from monitor_platform.access import user_file
from monitor_platform.access.passwords import NO_USER, Hash, hashed
from monitor_platform.access.roles import UserRole
from monitor_platform.access.users import proves
from tests.monitor_platform.access.conftest import NAME, PASSWORD, users


def test_two_users_with_the_same_password_have_different_hashes():
    one, other = hashed(PASSWORD), hashed(PASSWORD)
    assert one.fits(PASSWORD)
    assert other.fits(PASSWORD)
    assert (one.salt != other.salt, one.digest != other.digest) == (True, True)


def test_a_hash_states_its_parameters_and_can_be_read_back():
    made = hashed(PASSWORD)
    assert Hash.parse(str(made)) == made
    older = "scrypt:n=1024,r=8,p=1:c2FsdHNhbHRzYWx0c2FsdA==:p7Yy8PzxU2ow0wv2iwDqvA=="
    assert Hash.parse(older).cost == 1024


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "scrypt:n=1000,r=8,p=1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAA",
        "scrypt:n=4194304,r=99,p=1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAA",
        "scrypt:n=65536,r=1,p=1:AAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAA",  # which OpenSSL refuses, but only at the login
    ],
)
def test_an_invalid_or_too_expensive_hash_is_refused(text):
    with pytest.raises(ValueError, match="swarmscope users add"):
        Hash.parse(text)


def test_an_unknown_name_costs_as_much_time_as_a_known_one():
    made = hashed(PASSWORD)
    assert (NO_USER.cost, NO_USER.block, NO_USER.parallel, len(NO_USER.digest)) == (
        made.cost,
        made.block,
        made.parallel,
        len(made.digest),
    )
    assert not proves(None, PASSWORD)
    assert not proves(made, PASSWORD * 1000)


def test_users_are_added_changed_listed_and_removed_and_comments_stay(tmp_path):
    path = tmp_path / "users.txt"
    path.write_text("# the night shift\n\n")
    assert users("add", NAME, "--file", str(path), password=PASSWORD).stderr == f"added user {NAME}\n"
    assert users("add", "alice", "--file", str(path), password=PASSWORD).returncode == 0
    assert users("add", NAME, "--file", str(path), password="another one").stderr == f"changed the password of {NAME}\n"
    assert users("role", NAME, "viewer", "--file", str(path)).stderr == f"{NAME} is a viewer\n"
    assert users("list", "--file", str(path)).stdout == f"alice\tmanager\n{NAME}\tviewer\n"
    assert users("remove", "alice", "--file", str(path)).returncode == 0
    gone = users("remove", "alice", "--file", str(path))
    assert (gone.returncode, "has no user alice" in gone.stderr) == (1, True)
    assert users("add", NAME, "--file", str(path), password="one more time").returncode == 0
    text = path.read_text()
    assert text.startswith("# the night shift\n\n")
    assert re.fullmatch(rf"{NAME}:scrypt:n=\d+,r=8,p=\d+:[^:]+:[^:]+:viewer", text.splitlines()[-1])
    assert user_file.read(path)[NAME].secret.fits("one more time")


def test_a_new_file_can_be_read_only_by_its_owner(tmp_path):
    path = tmp_path / "users.txt"
    assert users("add", NAME, "--file", str(path), password=PASSWORD).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["users.txt"]


@pytest.mark.parametrize(
    ("name", "password", "advice"),
    [
        (NAME, "short", "8 to 1024 characters"),
        (NAME, "", "8 to 1024 characters"),
        ("a:b", PASSWORD, "no colon"),
        (" a", PASSWORD, "no spaces at the ends"),
        ("a\nb", PASSWORD, "no colon"),
        ("#a", PASSWORD, "no #"),
    ],
)
def test_an_invalid_user_is_refused_and_nothing_is_written(tmp_path, name, password, advice):
    path = tmp_path / "users.txt"
    refused = users("add", name, "--file", str(path), password=password)
    assert (refused.returncode, advice in refused.stderr, path.exists()) == (2, True, False)


def test_a_user_without_a_role_in_the_file_is_a_manager_and_keeps_a_role_with_a_new_password(tmp_path):
    path = tmp_path / "users.txt"
    path.write_text(f"alice:{NO_USER}\nmallory:{NO_USER}:viewer\n")
    assert {name: account.role for name, account in user_file.read(path).items()} == {"alice": "manager", "mallory": "viewer"}
    assert user_file.put(path, "mallory", NO_USER)
    assert user_file.put(path, "alice", NO_USER, UserRole.VIEWER)
    assert not user_file.put(path, "bob", NO_USER)
    assert not user_file.set_role(path, "nemo", UserRole.VIEWER)
    roles = {name: account.role for name, account in user_file.read(path).items()}
    assert roles == {"mallory": "viewer", "alice": "viewer", "bob": "manager"}


INVALID = ("alice\n", "alice:my secret\n", f"a:{NO_USER}:secret\n", ":x\n", "a:scrypt:n=1,r=1,p=1:AAAA:AAAA\n")


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_line_is_named_and_not_shown(tmp_path, text):
    path = tmp_path / "users.txt"
    path.write_text("# users\n" + text)
    with pytest.raises(ValueError, match="line 2") as refused:
        user_file.read(path)
    assert "secret" not in str(refused.value)
    # Adding the next user does not remove it either.
    assert users("add", NAME, "--file", str(path), password=PASSWORD).returncode == 2
    assert path.read_text() == "# users\n" + text
