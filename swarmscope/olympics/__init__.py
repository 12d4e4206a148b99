"""The Olympics of 2012 again: the event of the paper, message by message, through the feedback server's own log writers."""
