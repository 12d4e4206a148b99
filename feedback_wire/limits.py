"""The limits that senders and servers share, so that a sender can keep to them before it sends anything."""

MESSAGE_BYTES = 64 * 1024
"""A larger feedback message is refused; a real one takes about 500 bytes."""

MESSAGE_DEPTH = 64
"""Nesting depth of arrays and objects, with the message as the first level; far below the limits of all readers."""

MESSAGE_VALUES = 4096
"""Values in a message, including those in nested objects and arrays. Named fields and `extra` have at most 87."""

BATCH_WIRE_BYTES = 1024 * 1024
"""Bytes of one request body as it arrives, compressed or not."""

BATCH_INFLATED_BYTES = 4 * 1024 * 1024
"""Bytes of the same body after decompression; checked while it is decompressed."""

TEXT_CHARS = 256
"""Characters in one text field or one text value of `extra`."""

EXTRA_KEYS = 64
"""Entries of `extra`."""

LARGEST_INT = 2**53 - 1
"""The largest whole number that every JSON reader, including JavaScript, represents exactly."""
