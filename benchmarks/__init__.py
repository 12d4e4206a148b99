"""Measures the performance figures in the documentation, side by side with the alternative that a user would choose."""
