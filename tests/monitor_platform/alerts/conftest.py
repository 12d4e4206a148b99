"""Tables as in the measures' tests, and a browser as in the dashboard's."""

from tests.monitor_platform.dashboard.conftest import browser, visit
from tests.monitor_platform.measures.conftest import locator, table_of

__all__ = ["browser", "locator", "table_of", "visit"]
