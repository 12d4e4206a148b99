"""Password hashes: scrypt (RFC 7914) with a random salt. The parameters are stored with the hash.

So the cost can be raised later without new passwords: old hashes keep their old parameters.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

LONGEST = 1024
"""The most characters of a password, so that a request cannot cause the hashing of a large text."""

SHORTEST = 8

# 16 MiB and about a quarter of a second of one core. Source: the second-smallest memory in OWASP's password storage cheat sheet.
COST, BLOCK, PARALLEL = 2**14, 8, 5
SALT_BYTES = HASH_BYTES = 16
_MOST_MEMORY = 256 * 2**20
_TEXT = re.compile(
    r"scrypt:n=(\d{1,7}),r=(\d{1,2}),p=(\d{1,2}):([A-Za-z0-9+/]{16,88}={0,2}):([A-Za-z0-9+/]{16,88}={0,2})", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hash:
    """The hash of a password. `parse` raises ValueError for a text that is not one."""

    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Hash":
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError("its password is not a hash; write it with `swarmscope users add`")
        cost, block, parallel = (int(number) for number in match.groups()[:3])
        # RFC 7914 section 2: the cost is a power of 2, above 1 and below 2^(128·block/8).
        known = cost >= 2 and not cost & (cost - 1) and cost < 2 ** (16 * block)
        if not known or not parallel or 128 * cost * block > _MOST_MEMORY:
            raise ValueError("its password has scrypt parameters that cannot be used; write it again with `swarmscope users add`")
        return cls(cost=cost, block=block, parallel=parallel, salt=b64decode(match[4]), digest=b64decode(match[5]))

    def __str__(self) -> str:
        salt, digest = (b64encode(part).decode() for part in (self.salt, self.digest))
        return f"scrypt:n={self.cost},r={self.block},p={self.parallel}:{salt}:{digest}"

    def fits(self, password: str) -> bool:
        """Whether this is the hash of `password`. Slow by design."""
        return hmac.compare_digest(
            self.digest, _scrypt(password, self.salt, self.cost, self.block, self.parallel, len(self.digest))
        )


def hashed(password: str) -> Hash:
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(password, salt, COST, BLOCK, PARALLEL, HASH_BYTES)
    return Hash(cost=COST, block=BLOCK, parallel=PARALLEL, salt=salt, digest=digest)


def checked(password: str) -> str:
    """The password; ValueError if it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise ValueError(f"a password needs {SHORTEST} to {LONGEST} characters; a few words in a row are easy to remember")
    return password


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int, length: int) -> bytes:
    # Keyboards may encode the same character in two ways; NFC makes them equal (RFC 8265).
    typed = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    memory = 128 * block * (cost + parallel + 2)
    return hashlib.scrypt(typed, salt=salt, n=cost, r=block, p=parallel, maxmem=memory + 2**20, dklen=length)


NO_USER = Hash(cost=COST, block=BLOCK, parallel=PARALLEL, salt=bytes(SALT_BYTES), digest=bytes(HASH_BYTES))
"""Hash for unknown user names, so that their check takes as long as other checks. No known password matches it."""
