"""The `swarmscope` command, and the one-machine demo with its simulated audience."""
