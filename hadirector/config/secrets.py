"""What of a configuration is shown to nobody: the values of keys that name a secret.

The problem: an error is printed with the line it is about, goes into a terminal's history, a log of
CI and a mail, and the line may hold a password. The approach: by the key's name, which may be
misspelt: `passwrd: hunter2` is an error that must not print it. A key that names a *file* is shown.

Rather too much than too little. Pure; must never change the length of a line, under which a caret
stands.
"""

from __future__ import annotations

import re

HIDDEN = "…"

_NAME = r"[\w-]*(?:pass|pwd|secret|token|hmac|authorization|credential)[\w-]*"
_KEY = re.compile(rf"(?P<key>[\"']?(?P<name>{_NAME})[\"']?\s*:\s+)(?P<value>\S.*)", re.IGNORECASE)
_FLOW_END = re.compile(r"[,}]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'")
_IN_QUOTES = re.compile(r"[\"']([^\"']*)[\"']")
_COVER = f'"{HIDDEN}"'
_HEX = re.compile(r"\b[0-9A-Fa-f]{32,}\b")


def is_secret(key: str) -> bool:
    """Whether what this key says is shown to nobody."""
    return re.fullmatch(_NAME, key, re.IGNORECASE) is not None and not key.endswith("_file")


def masked(line: str) -> str:
    """The line with every secret in it covered, character by character."""
    start = 0
    while found := _KEY.search(line, start):
        begin, end = found.span("value")
        start = begin
        if found["name"].endswith("_file"):
            continue
        end = begin + _length(line[begin:end], in_flow="{" in line[:begin])
        line = line[:begin] + "*" * (end - begin) + line[end:]
        start = end
    return _HEX.sub(lambda match: "*" * len(match[0]), line)


def _length(value: str, *, in_flow: bool) -> int:
    """How much of the rest of a line is the value."""
    quoted = _QUOTED.match(value)
    if quoted:
        return quoted.end()
    if value.startswith(("[", "{")):  # a list of keys: to the end, since it may nest
        return len(value)
    end = _FLOW_END.search(value) if in_flow else None
    return end.start() if end else len(value)


def unspoken(path: str, text: str, message: str) -> tuple[str, str]:
    """Offending text and message of a finding, without the value where its key is secret."""
    keys = re.sub(r"\[\d+\]", "", path).split(".")
    if not any(map(is_secret, keys)):
        return text, message
    if text and is_secret(text):  # the key itself, as where it is unknown
        return text, message
    message = _IN_QUOTES.sub(lambda match: match[0] if is_secret(match[1]) else _COVER, message)
    return HIDDEN, message.replace(text, HIDDEN) if text else message
