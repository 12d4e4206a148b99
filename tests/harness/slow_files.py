"""The order in which test files run: slow ones first, so that no worker has a slow file left when the others have ended.

`pytest --durations=0` shows the durations. A wrong order among the slow files costs some seconds at most.
"""

from pathlib import Path

TESTS = Path(__file__).parents[1]

SLOW_FILES = (
    "faults/test_kills.py",
    "faults/test_answers_of_proxies.py",
    "faults/test_overload.py",
    "journeys/test_equal_numbers.py",
    "monitor_platform/dashboard/test_live_pages.py",
    "monitor_platform/dashboard/test_time_range.py",
    "monitor_platform/dashboard/test_layout.py",
    "monitor_platform/dashboard/test_static_pages.py",
    "monitor_platform/dashboard/test_interactions.py",
    "qoe_lab/running/test_trainings.py",
    "swarmscope/test_demo.py",
    "swarmscope/test_import.py",
    "coordinator/test_failover.py",
    "faults/test_clean_stops.py",
    "faults/test_full_disks.py",
    "faults/test_bad_networks.py",
    "faults/test_disks_of_running_servers.py",
    "feedback_analysis/messages/test_duplicates.py",
    "monitor_platform/retrieval/test_damaged_mirror.py",
    "monitor_platform/retrieval/test_feed.py",
    "feedback_analysis/history/test_history_add_logs.py",
    "monitor_platform/dashboard/test_older_records.py",
    "monitor_platform/dashboard/test_history_page.py",
    "monitor_platform/dashboard/test_sessions_pages.py",
    "monitor_platform/dashboard/test_ranking_page.py",
    "monitor_platform/dashboard/test_swarm_page.py",
    "monitor_platform/access/test_login_in_a_browser.py",
    "monitor_platform/access/test_login.py",
    "overlay/test_lossy_links.py",
    "overlay/test_media_in_a_swarm.py",
    "overlay/test_swarm.py",
    "netlab/test_removal.py",
    "netlab/test_links.py",
    "feedback_server/test_crashes.py",
    "feedback_server/test_read_only.py",
    "feedback_server/test_tls.py",
    "feedback_analysis/geo/test_databases_that_change.py",
    "feedback_analysis/measures/test_playback.py",
    "feedback_analysis/measures/test_analyze.py",
    "feedback_analysis/measures/test_summary.py",
    "feedback_analysis/messages/test_table.py",
    "endhost_sdk/test_effects_on_the_app.py",
    "endhost_sdk/test_app_servers.py",
    "hostile/test_published_interface.py",
    "hostile/test_hostile_queries.py",
    "swarmscope/test_command.py",
    "swarmscope/test_logs_command.py",
    "swarmscope/test_locales.py",
    "swarmscope/test_unreadable_logs.py",
    "monitor_platform/dashboard/test_crossfilter.py",
    "monitor_platform/dashboard/test_server.py",
)

RANKS = {TESTS / name: place for place, name in enumerate(SLOW_FILES)}


def rank(path: Path) -> int:
    """The place of a test file in the order; files that are not listed come last, as pytest found them."""
    return RANKS.get(path, len(RANKS))
