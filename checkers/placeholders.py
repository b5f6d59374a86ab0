"""`{address}` and `{port}` in what a check names: one line of configuration for many servers.

Must never take anything else in braces for a placeholder, so that a typing error is an error.
"""

from __future__ import annotations

import re

from checkers.base import OptionError, Target

_BRACED = re.compile(r"\{(\w*)\}")
_KNOWN = ("address", "port")


def check_placeholders(field: str, text: str) -> None:
    """Raise OptionError if the text holds another word in braces."""
    for word in _BRACED.findall(text):
        if word not in _KNOWN:
            raise OptionError(field, f"{{{word}}} stands for nothing: {{address}} and {{port}} do")


def fill(text: str, target: Target) -> str:
    """The text for this server."""
    values = {"address": target.host, "port": str(target.port)}
    return _BRACED.sub(lambda match: values.get(match[1], match[0]), text)
