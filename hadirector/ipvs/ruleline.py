"""One line of ipvsadm's rules taken apart into options and their values.

The problem: ipvsadm's option parser takes `-w 3`, `-w3`, `--weight 3` and `--weight=3`, and an
option of `-p` whose value may be missing. The approach: the words of the line, from which each
option is taken by name; what nobody took is an error. No meaning here.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class RuleError(ValueError):
    """What is wrong with one line."""


_WITH_VALUE = {
    "-t", "-u", "-f", "-s", "-M", "-b", "-r", "-w", "-x", "-y", "--sctp-service", "--tcp-service",
    "--udp-service", "--fwmark-service", "--scheduler", "--netmask", "--pe", "--sched-flags",
    "--real-server", "--weight", "--u-threshold", "--l-threshold", "--tun-type", "--tun-port",
}  # fmt: skip
_PERHAPS_WITH_VALUE = {"-p", "--persistent"}
_WITHOUT_VALUE = {
    "-A", "-a", "-6", "-o", "-m", "-g", "-i", "--add-service", "--add-server", "--ipv6", "--ops",
    "--masquerading", "--gatewaying", "--ipip", "--tun-nocsum", "--tun-csum", "--tun-remcsum",
}  # fmt: skip
_KNOWN = _WITH_VALUE | _PERHAPS_WITH_VALUE | _WITHOUT_VALUE


@dataclass(slots=True)
class Line:
    """The options of one line that nobody has taken yet."""

    options: dict[str, str | None] = field(default_factory=dict)

    def has(self, short: str, long: str) -> bool:
        """Whether the option is there, under either name."""
        return short in self.options or long in self.options

    def take(self, short: str, long: str) -> str | None:
        """The value of an option; None where the option or its value is not there."""
        if short != long and short in self.options and long in self.options:
            raise RuleError(f"{short} and {long} are the same, and both are there")
        return self.options.pop(short if short in self.options else long, None)

    def take_flag(self, short: str, long: str) -> bool:
        """Whether an option without a value is there."""
        found = self.has(short, long)
        self.take(short, long)
        return found

    def expect_no_more(self) -> None:
        """Raise RuleError if an option is left: it has no place in this kind of rule."""
        for name in self.options:
            raise RuleError(f"{name} has no place here")


def split(text: str) -> Line:
    """The options of a line; raises RuleError."""
    words = text.split()
    if words[:1] == ["ipvsadm"]:
        del words[0]
    line = Line()
    while words:
        name, value = _option(words)
        if name in line.options:
            raise RuleError(f"{name} comes twice")
        line.options[name] = value
    return line


def _option(words: list[str]) -> tuple[str, str | None]:
    """Take one option with its value off the words."""
    word = words.pop(0)
    name, attached = word, None
    if word.startswith("--"):
        name, equals, rest = word.partition("=")
        attached = rest if equals else None
    elif len(word) > 2:
        name, attached = word[:2], word[2:]
    if name not in _KNOWN:
        raise RuleError(f'"{word[:40]}" is no option of a rule')
    if name in _WITHOUT_VALUE:
        if attached is not None:
            raise RuleError(f'"{word[:40]}": {name} has no value')
        return name, None
    if attached is not None:
        return name, attached
    is_value = bool(words) and (not words[0].startswith("-") or _is_negative(words[0]))
    if name in _WITH_VALUE and not is_value:
        raise RuleError(f"{name} has no value")
    return name, words.pop(0) if is_value else None


def _is_negative(word: str) -> bool:
    """Whether this is a negative number and not the option -6."""
    return word[1:].isdecimal() and word not in _KNOWN
