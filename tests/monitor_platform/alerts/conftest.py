"""Tables as in the measures' tests."""

from tests.monitor_platform.measures.conftest import locator, table_of

__all__ = ["locator", "table_of"]
