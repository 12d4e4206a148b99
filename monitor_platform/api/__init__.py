"""The interfaces for scripts: the dashboard's numbers as JSON and CSV, and their description as OpenAPI."""
