"""The listening side: from a connection of an end host to messages that a carrier takes, and back to the answer."""
