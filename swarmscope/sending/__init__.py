"""Messages that a command sends to a coordinator: imported ones, and refused ones from a quarantine."""
