"""The client of active measurement: submits, follows and cancels requests at a master, or measures from its own machine."""
