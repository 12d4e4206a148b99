"""Ways to make messages durable: a feedback server over HTTP, and the spool on the local disk."""
