"""The fixed division of a data set into train, val and test.

The content alone decides the split, so that no content and no session is in two of them, also when several trainings that played
the same contents are read together. A classifier that knows a content from the training would otherwise be tested on what it
knows. Live content is never played twice and may have no content_id: there, the block decides.
"""

from hashlib import blake2b
from typing import Literal, get_args

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SHARES: dict[Split, float] = {"train": 0.6, "val": 0.2, "test": 0.2}
"""The shares that a large number of contents has. With a few contents, the shares differ; the data card has the numbers."""

_PERSON = b"split 14"
"""Makes this hash independent of others. With this one, the six contents of the lab are in all three splits (4, 1 and 1)."""


def split_of(content_id: str | None, block: int | None) -> Split | None:
    """The split of a session; None if neither its content nor its block is known."""
    if content_id is None and block is None:
        return None
    key = f"content {content_id}" if content_id is not None else f"block {block}"
    position = int.from_bytes(blake2b(key.encode(), digest_size=8, person=_PERSON).digest()) / 2**64
    if position < SHARES["train"]:
        return "train"
    return "val" if position < SHARES["train"] + SHARES["val"] else "test"
