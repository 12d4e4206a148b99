"""Tables as in the tests of measures."""

from tests.feedback_analysis.conftest import locator, table_of

__all__ = ["locator", "table_of"]
