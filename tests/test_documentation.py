"""Documentation is an interface: what it points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md"), *ROOT.glob("tools/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_proof_that_the_guarantees_name_exists():
    proofs = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs/guarantees.md").read_text())
    assert len(proofs) > 15
    assert [proof for proof in proofs if not (ROOT / proof).exists()] == []


def test_the_message_page_lists_every_field_with_its_meaning():
    from feedback_wire.message import FIELDS

    page = (ROOT / "docs/formats/message.md").read_text()
    assert [field.name for field in FIELDS if f"| `{field.name}` |" not in page or field.meaning not in page] == []


def test_the_readme_names_both_commands_and_shows_the_dashboard():
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert "docs/images/dashboard.png" in readme
