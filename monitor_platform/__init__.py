"""Retrieves or opens log files, and shows what viewers got: the dashboard, its API, and alerts."""
