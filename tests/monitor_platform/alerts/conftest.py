"""Tables as in the measures' tests, and a browser as in the dashboard's."""

from tests.feedback_analysis.conftest import locator, table_of
from tests.monitor_platform.dashboard.conftest import browser, visit

__all__ = ["browser", "locator", "table_of", "visit"]
