"""The monitoring platform: fetches logs, and shows their measures on the dashboard, in the API, and as alerts."""
