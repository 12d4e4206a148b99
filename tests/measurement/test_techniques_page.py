"""docs/measurement-techniques.md describes every technique, value and parameter, with the defaults of the code."""

import re
from pathlib import Path

import pytest
from msgspec import NODEFAULT, structs

from measurement.client.outcome_text import FIRST_VALUES
from measurement.operation import Technique
from measurement.technique_parameters import PARAMETERS

PAGE = (Path(__file__).parents[2] / "docs" / "measurement-techniques.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
INHERITED = {Technique.BROUTE: Technique.PATHNECK, Technique.RESPONSIVENESS: Technique.THROUGHPUT}


def documented(technique: Technique) -> dict[str, str]:
    """The default of each parameter, as the page states it."""
    section = next(text for heading, text in SECTIONS.items() if technique in heading.split())
    rows = re.findall(r"^\| `(\w+)` \| .*? \| ?(.*?) ?\|$", section, re.MULTILINE)
    own = {name: default for name, default in rows if not name.endswith("_kbps") or name == "limit_kbps"}
    return (documented(INHERITED[technique]) if technique in INHERITED else {}) | own


def written(default: object) -> str:
    if default is NODEFAULT:
        return "required"
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("technique", Technique)
def test_every_parameter_is_on_the_page_with_its_default(technique):
    fields = {field.name: written(field.default) for field in structs.fields(PARAMETERS[technique])}
    assert documented(technique) == fields


def test_every_value_that_a_line_of_an_outcome_shows_first_is_a_value_of_a_technique():
    assert set(FIRST_VALUES) - set(re.findall(r"`(\w+)`", SECTIONS["Outcomes"])) == set()
