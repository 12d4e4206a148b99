"""The order in which test files run: slow ones first, so that no worker has a slow file left when the others have ended.

To write the list again: `make test ARGS=--junitxml=tests.xml`, then `python -m tests.harness.slow_files tests.xml`. A wrong order
among the slow files costs some seconds at most.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).parents[1]
SLOW_S = 5.0
"""The tests of a slow file take as long together."""

SLOW_FILES = (
    "monitor_platform/dashboard/test_live_pages.py",
    "qoe_lab/running/test_trainings.py",
    "monitor_platform/dashboard/test_interactions.py",
    "monitor_platform/dashboard/test_layout.py",
    "monitor_platform/dashboard/test_time_range.py",
    "monitor_platform/dashboard/test_older_records.py",
    "monitor_platform/dashboard/test_static_pages.py",
    "swarmscope/test_demo.py",
    "swarmscope/test_demo_network.py",
    "qoe_lab/clients/test_headless_player.py",
    "monitor_platform/retrieval/test_feed.py",
    "qoe_lab/clients/test_browser_player.py",
    "coordinator/test_failover.py",
    "measurement/test_departures.py",
    "faults/test_overload.py",
    "monitor_platform/dashboard/test_crossfilter.py",
    "feedback_analysis/history/test_history_numbers.py",
    "hostile/test_hostile_queries.py",
    "journeys/test_equal_numbers.py",
    "monitor_platform/alerts/test_alert_service.py",
    "faults/test_answers_of_proxies.py",
    "journeys/test_alert_to_diagnosis.py",
    "hostile/test_published_interface.py",
    "faults/test_clean_stops.py",
    "monitor_platform/dashboard/test_disagreements.py",
    "feedback_analysis/messages/test_duplicates.py",
    "feedback_server/test_read_only.py",
    "feedback_analysis/history/test_history_add_logs.py",
    "qoe_lab/scoring/test_lab_score.py",
    "endhost_sdk/test_telemetry.py",
    "faults/test_kills.py",
    "faults/test_disk_errors.py",
    "feedback_analysis/test_online_time.py",
    "monitor_platform/dashboard/test_trainings_page.py",
    "monitor_platform/retrieval/test_damaged_mirror.py",
    "faults/test_bad_networks.py",
    "faults/test_disks_of_running_servers.py",
    "coordinator/test_shared_counters.py",
    "coordinator/http/test_hostile_requests.py",
    "monitor_platform/access/test_login.py",
    "feedback_server/test_crashes.py",
    "swarmscope/test_simulation.py",
    "faults/test_memory_limits.py",
    "feedback_analysis/measures/test_summary.py",
    "faults/test_full_disks.py",
    "feedback_analysis/measures/test_playback.py",
    "swarmscope/test_command.py",
    "monitor_platform/retrieval/test_server_clock.py",
    "measurement/master/test_master_restart.py",
    "endhost_sdk/test_request_bounds.py",
    "swarmscope/test_locales.py",
    "qoe_lab/clients/test_overlay_player.py",
    "endhost_sdk/test_effects_on_the_app.py",
    "monitor_platform/dashboard/test_html_report.py",
    "measurement/techniques/test_paths_under_load.py",
    "feedback_server/test_hostile_clients.py",
    "feedback_analysis/geo/test_databases_that_change.py",
    "monitor_platform/dashboard/test_server.py",
    "journeys/test_first_message.py",
    "monitor_platform/dashboard/test_sessions_pages.py",
    "measurement/techniques/test_responder.py",
    "qoe_lab/models/test_fitting.py",
    "monitor_platform/dashboard/test_network_page.py",
    "monitor_platform/retrieval/test_many_logs.py",
    "feedback_analysis/quality/test_quality.py",
    "harness/test_killed_runs.py",
    "coordinator/http/test_fairness_between_senders.py",
    "feedback_analysis/measures/test_analyze.py",
    "hostile/test_hostile_names.py",
    "monitor_platform/access/test_users.py",
    "qoe_lab/models/test_evaluation.py",
    "measurement/test_lab_scenarios.py",
    "swarmscope/test_unreadable_logs.py",
    "monitor_platform/dashboard/test_wall.py",
    "qoe_lab/running/test_trainings_server.py",
    "faults/test_order_of_syncs.py",
    "monitor_platform/access/test_login_in_a_browser.py",
    "swarmscope/test_import.py",
    "feedback_server/test_tls.py",
    "hostile/test_descriptor_limits.py",
    "swarmscope/test_simulated_life.py",
    "monitor_platform/dashboard/test_replay.py",
    "measurement/techniques/test_services.py",
    "feedback_analysis/messages/test_column_table.py",
    "feedback_analysis/messages/test_table.py",
    "feedback_server/test_sealing.py",
    "hostile/test_bounded_recovery.py",
    "feedback_analysis/messages/test_slices.py",
    "hostile/test_flipped_bits.py",
    "coordinator/test_ingest_keys.py",
    "endhost_sdk/test_exit.py",
    "feedback_analysis/messages/test_load.py",
    "swarmscope/test_hostile_imports.py",
    "feedback_analysis/measures/test_largest_groups.py",
    "netlab/test_links.py",
    "feedback_server/test_download.py",
    "overlay/test_media_in_a_swarm.py",
    "feedback_analysis/measures/test_exports.py",
    "measurement/techniques/test_ping.py",
    "hostile/test_parsers.py",
    "journeys/test_inferred_beside_reported.py",
    "monitor_platform/alerts/test_alert_watch.py",
    "monitor_platform/access/test_tls.py",
    "feedback_analysis/history/test_history_retention.py",
    "journeys/test_overlay_reports.py",
    "monitor_platform/dashboard/test_history_page.py",
    "coordinator/test_tls.py",
    "qoe_lab/clients/test_reporting.py",
    "qoe_lab/sources/test_content_server.py",
    "feedback_analysis/measures/test_views_data.py",
    "feedback_server/test_append_route.py",
    "qoe_lab/traffic/test_kernel_truth.py",
    "endhost_sdk/test_app_servers.py",
    "coordinator/test_shedding.py",
    "feedback_analysis/measures/test_timeline.py",
    "coordinator/http/test_feedback_protocol.py",
    "qoe_lab/dataset/test_export.py",
    "feedback_analysis/messages/test_budgets.py",
    "feedback_analysis/quality/test_scores_and_people.py",
    "coordinator/http/test_feedback_route.py",
    "coordinator/test_quarantine.py",
    "overlay/test_swarm.py",
    "qoe_lab/running/test_shaped_link.py",
)

RANKS = {TESTS / name: place for place, name in enumerate(SLOW_FILES)}


def rank(path: Path) -> int:
    """The place of a test file in the order; files that are not listed come last, as pytest found them."""
    return RANKS.get(path, len(RANKS))


def slow_files(report: Path) -> list[str]:
    """The slow files in the order of their durations, from the report that `pytest --junitxml` writes."""
    durations: defaultdict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        durations[case.attrib["classname"]] += float(case.attrib["time"])
    slow = [name for name, seconds in durations.items() if seconds >= SLOW_S]
    return [f"{name.removeprefix('tests.').replace('.', '/')}.py" for name in sorted(slow, key=durations.__getitem__, reverse=True)]


if __name__ == "__main__":
    print(*(f'    "{name}",' for name in slow_files(Path(sys.argv[1]))), sep="\n")
