"""The whole pipeline on one machine. The demo starts, watches and ends each component as a real process."""
