"""Inferred quality: a fitted model applied to a capture, second by second."""
