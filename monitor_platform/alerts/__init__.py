"""Alerts: the operator's rules, their evaluation minute by minute, and notifications by webhook."""
