"""Journeys run the whole pipeline."""

from tests.harness.deployment import deployment

__all__ = ["deployment"]
