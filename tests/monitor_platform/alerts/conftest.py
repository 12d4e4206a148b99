"""Tables as in the measures' tests."""

from tests.feedback_analysis.conftest import locator, table_of

__all__ = ["locator", "table_of"]
