"""The store of logs: their files in a data folder, the catalogue of offered logs, and its saved index."""
