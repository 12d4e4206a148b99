"""The agent of active measurement: it connects to the master, works under its leases, and measures in separate processes."""
