"""Writes records into a journal, seals it into logs, and offers both for download."""
