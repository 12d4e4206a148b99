"""Alerts: rules that an operator writes, what they find minute by minute, and who is told."""
