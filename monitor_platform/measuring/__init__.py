"""Requests of the platform to a measurement master."""
