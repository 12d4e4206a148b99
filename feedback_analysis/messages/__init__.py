"""The table of messages in memory: how logs get into it, and the questions that only single messages can answer."""
