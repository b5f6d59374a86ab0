"""Unquoted words in YAML: which are numbers and truth values, and which are traps.

The problem: YAML 1.1 reads `no` as false, `1:20` as 80, `010` as 8 and `2026-01-02` as a date;
YAML 1.2 and the person at the keyboard do not. The approach: where both versions of YAML agree, the
value is what both say; where YAML 1.1 would twist a word, it is an error that says what to write.
Never guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import yaml

from hadirector.config.diagnostics import Rule
from hadirector.config.nodes import Value

DIGITS_MAX = 18
WORDS_KEPT_MAX = 1024  # keys and small numbers come again and again

_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+", re.ASCII)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+", re.ASCII)
_TRUTH = {"true": True, "false": False}
_ON = ("yes", "on")


@dataclass(frozen=True, slots=True)
class Trap:
    """A word that YAML 1.1 twists."""

    rule: Rule
    message: str
    hint: str


@lru_cache(maxsize=WORDS_KEPT_MAX)
def resolve(text: str) -> Value | Trap:
    """The value of an unquoted word."""
    if text.count(".") > 1:
        return text  # an address, mostly: neither numbers nor dates have a second dot
    tag = _tag_of(text)
    if tag == "null":
        return None
    if tag == "bool":
        return _truth(text)
    if _LEADING_ZERO.fullmatch(text):
        return _octal(text)
    if tag in ("int", "float"):
        return _number(text)
    if tag == "timestamp":
        return Trap(
            Rule.YAML_DATE, f"{text} is a date to YAML", f'write "{text}" if the text is meant'
        )
    return text


def _tag_of(text: str) -> str:
    """The tag that YAML 1.1 gives this word, by PyYAML's own table."""
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            return str(tag).removeprefix(_TAG)
    return "str"


def _truth(text: str) -> Value | Trap:
    word = text.lower()
    if word in _TRUTH:
        return _TRUTH[word]
    value = "true" if word in _ON else "false"
    return Trap(
        Rule.YAML_BOOLEAN,
        f"{text} without quotes is the truth value {value} in YAML 1.1 and a word in YAML 1.2",
        f'write {value} for the truth value or "{text}" for the word',
    )


def _octal(text: str) -> Trap:
    digits = text.lstrip("+-0").replace("_", "") or "0"
    return Trap(
        Rule.YAML_OCTAL,
        f"{text} with a leading zero is an octal number in YAML 1.1 and a decimal one in YAML 1.2",
        f'write {digits} for the number or "{text}" for the text',
    )


def _number(text: str) -> Value | Trap:
    if len(text) > DIGITS_MAX:
        return Trap(Rule.YAML_NUMBER, "a number of so many digits is not meant here", "quote it")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if ":" in text:
        return Trap(
            Rule.YAML_SEXAGESIMAL,
            f"{text} without quotes is the number {_sexagesimal(text)} in YAML 1.1",
            f'write {_sexagesimal(text)}s if a duration is meant or "{text}" for the text',
        )
    return Trap(
        Rule.YAML_NUMBER,
        f"{text} is a number in YAML 1.1 that people read in different ways",
        "write plain decimal digits, or quote it if the text is meant",
    )


def _sexagesimal(text: str) -> int:
    total = 0
    for part in text.lstrip("+-").partition(".")[0].replace("_", "").split(":"):
        total = total * 60 + int(part)
    return total
