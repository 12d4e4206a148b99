"""The coordinator accepts feedback messages from end hosts and sends them on to feedback servers.

`http/` listens to end hosts, `dialects/` turns the bytes of a request into messages, `carriers/` makes messages durable.
Of the other modules, `admission` decides which messages are kept, `placement` which feedback server gets them, and `ingest_keys`
which senders are allowed.
"""
