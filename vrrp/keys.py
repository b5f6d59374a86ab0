"""Keys of authenticated advertisements, as people write them: `1:00112233…`, number and secret.

This module never shows a secret, not even a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SECRET_BYTES_MIN: Final = 32
SECRET_BYTES_MAX: Final = 64
"""keepalived >= 2.4.2 takes 32 to 64 bytes."""
_HOW: Final = "write NUMBER:HEX, as from `echo 1:$(openssl rand -hex 32)`"


@dataclass(frozen=True, slots=True)
class HmacKey:
    """A key and its number, 0 to 255, by which a receiver knows which one it is."""

    id: int
    secret: str = field(repr=False)
    """In hexadecimal, 32 to 64 bytes."""

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 255:
            raise ValueError(f"a key has a number from 0 to 255; {_HOW}")
        try:
            length = len(bytes.fromhex(self.secret))
        except ValueError:
            raise ValueError(f"the secret of a key is written in hexadecimal; {_HOW}") from None
        if not SECRET_BYTES_MIN <= length <= SECRET_BYTES_MAX:
            raise ValueError(f"a secret of {length} bytes; 32 to 64 are needed; {_HOW}")

    @classmethod
    def parse(cls, value: object) -> HmacKey:
        """Read a key. Raises ValueError."""
        if isinstance(value, HmacKey):
            return value
        number, colon, secret = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon or not (number.isascii() and number.isdecimal()):
            raise ValueError(f"this is not a key; {_HOW}")
        return cls(int(number), secret)
