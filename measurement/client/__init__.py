"""The client of active measurement: submits, follows and cancels requests at a master, and measures its own upstream itself."""
