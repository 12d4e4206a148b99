"""Retrieves or opens log files, measures what viewers got, and shows it."""
