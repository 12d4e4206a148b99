"""The table of messages in memory: how logs get into it, and the queries that only single messages can answer."""
