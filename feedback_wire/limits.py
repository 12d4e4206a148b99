"""What a sender may ask of a server, in one place, so that both sides agree on it before anything is sent."""

MESSAGE_BYTES = 64 * 1024
"""A larger feedback message is refused; a real one takes about 500 bytes."""

MESSAGE_DEPTH = 64
"""Arrays and objects within one another, the message itself included: far below what any reader behind takes."""

MESSAGE_VALUES = 4096
"""Values in a message, counted in all objects and arrays within it; named fields and `extra` have at most 87."""

BATCH_WIRE_BYTES = 1024 * 1024
"""Body of one request as it arrives, compressed or not."""

BATCH_INFLATED_BYTES = 4 * 1024 * 1024
"""The same body after decompression, checked while inflating."""

TEXT_CHARS = 256
"""Characters in one text field or one text value of `extra`."""

EXTRA_KEYS = 64
"""Entries of `extra`."""

LARGEST_INT = 2**53 - 1
"""Whole numbers stay within what every JSON reader, JavaScript's included, keeps exactly."""
