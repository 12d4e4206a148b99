"""Prometheus metrics of the platform, its audience, its logins and its location databases."""
