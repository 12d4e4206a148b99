"""Writes records into a journal, seals it into log files, and offers both for download."""
