"""The store of logs: their files in a data folder, the catalogue of offered logs, its saved index, and the removal of old logs."""
