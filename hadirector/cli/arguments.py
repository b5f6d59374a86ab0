"""What several verbs take as an argument, for `argparse` to call: text in, a value out."""

from __future__ import annotations

import argparse
from ipaddress import IPv4Address, IPv6Address, ip_address


def duration(text: str) -> float:
    """Seconds of a duration as the file has them, such as `10ms`."""
    from hadirector.config.durations import DurationError, parse_duration

    try:
        return parse_duration(text)
    except DurationError as error:
        raise argparse.ArgumentTypeError(f"{error}; {error.hint}") from error


def address(text: str) -> IPv4Address | IPv6Address:
    """An address of either version."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no address") from error
