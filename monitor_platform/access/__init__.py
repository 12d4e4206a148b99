"""Who may see the dashboard: users with passwords, a proxy that vouches for them, and what a listener puts up with."""
