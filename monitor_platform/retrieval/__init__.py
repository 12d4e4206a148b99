"""Retrieval of logs from feedback servers: fetch once, verify, mirror byte for byte, load into the table."""
