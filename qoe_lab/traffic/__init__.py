"""From captured headers to numbers: flows, TCP statistics, and features of each second. No input but a capture."""
