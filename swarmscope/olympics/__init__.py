"""A simulation of the paper's event, the Olympics of 2012. The feedback server's own log writers write each message."""
