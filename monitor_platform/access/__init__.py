"""Access to the dashboard: users and passwords, trusted proxies, and limits of connections."""
