"""The agent of active measurement: it connects out, obeys the master's leases, and measures in processes of their own."""
