"""Reads verified log files and computes what the viewers got: used by the `analyze` command and the monitoring platform alike."""
