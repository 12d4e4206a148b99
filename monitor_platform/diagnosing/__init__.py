"""The loop from alerts to diagnoses: an alert starts measurements, and their verdict stands at the alert."""
