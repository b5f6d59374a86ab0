"""Secrets of a check: read from files of their own, and shown nowhere.

The problem: a configuration is copied, shown and mailed about, and a password in it goes along;
and a server may say a password back in what it answers. The approach: for every secret option
`NAME` a kind has, `NAME_file` names a file whose first line it is. The file is read for each probe,
so that a new password needs no reload; it must be a regular file that others cannot read nor a
group write. Of what a probe tells, the secret is taken out.

A file that cannot be used is our own fault: an error when a configuration is read, a ProbeError
later. Must never put a secret, nor a part of a wrong one, into a message.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any

from annotated_types import MaxLen, MinLen, doc

from checkers import limits
from checkers.base import OptionError, Probe, ProbeError, Result, Target
from checkers.options import CheckOptions
from checkers.recording import plain

PasswordFile = Annotated[
    Annotated[str, MinLen(1), MaxLen(4096)] | None,
    doc("File whose first line is the password, instead of `password`; not readable by others."),
]
_SHOWN_IF_SHORTER = 4
_HIDDEN = "…"


class SecretError(Exception):
    """Why a file cannot be used; never with what it holds."""


def read_secret(file: str) -> str:
    """The first line of the file. Raises SecretError."""
    try:
        # Without blocking: opening a named pipe would wait for its other end.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SecretError(f"cannot read {file}: {(error.strerror or '').lower()}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SecretError(f"{file} is not a regular file")
        if found.st_uid not in (0, os.geteuid()):
            raise SecretError(f"{file} is owned by user {found.st_uid}, who could change it")
        if found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise SecretError(f"{file} can be read or written by others (chmod 600)")
        data = os.read(descriptor, limits.SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise SecretError(f"cannot read {file}: {(error.strerror or '').lower()}") from error
    finally:
        os.close(descriptor)
    line = data.partition(b"\n")[0].rstrip(b"\r")
    if not line or len(line) > limits.SECRET_BYTES_MAX:
        raise SecretError(f"the first line of {file} is {'too long' if line else 'empty'}")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise SecretError(f"the first line of {file} is not UTF-8") from None


def check_secrets(options: CheckOptions) -> None:
    """Raise OptionError where a secret is written and its file named as well."""
    for name in options.secrets:
        file = getattr(options, f"{name}_file", None)
        if file is None:
            continue
        if getattr(options, name) is not None:
            raise OptionError(f"{name}_file", f"either `{name}` or `{name}_file`, not both")
        if not file.startswith("/") or "\0" in file:
            raise OptionError(f"{name}_file", f"{file!r} is not an absolute path")


def unusable_secrets(options: CheckOptions) -> Iterator[OptionError]:
    """What is wrong on this host with the files that hold secrets of a check.

    One that only the reader of the configuration may not read is no error: the daemon may.
    """
    for name in options.secret_options:
        file = getattr(options, name)
        if name in options.secrets or file is None:
            continue
        try:
            read_secret(file)
        except SecretError as error:
            if not isinstance(error.__cause__, PermissionError):
                yield OptionError(name, str(error))


def has(options: object, name: str) -> bool:
    """Whether a secret is there, be it in a file."""
    return any(getattr(options, one, None) is not None for one in (name, f"{name}_file"))


class SecretProbe:
    """The probe of options with secrets."""

    __slots__ = ("_options", "_probe", "_values")

    def __init__(self, options: CheckOptions) -> None:
        self._options = options
        self._values: dict[str, str] | None = None
        self._probe: Probe

    async def probe(
        self, target: Target, timeout_s: float, *, keep_transcript: bool = False
    ) -> Result:
        """Probe once; raises ProbeError if that could not be tried, as without a password."""
        values = self._read()
        if values != self._values:
            self._probe, self._values = self._made(values), values
        pair = f"{getattr(self._options, 'username', '')}:{values.get('password')}"  # RFC 7617
        hidden = (*values.values(), pair)
        try:
            result = await self._probe.probe(target, timeout_s, keep_transcript=keep_transcript)
        except ProbeError as error:
            sentence = _without(str(error), hidden)
            raise ProbeError(sentence) from None
        return replace(
            result,
            sentence=_without(result.sentence, hidden),
            transcript=tuple(_without(line, hidden) for line in result.transcript),
        )

    def _read(self) -> dict[str, str]:
        values = {}
        for name in self._options.secrets:
            file, value = getattr(self._options, f"{name}_file", None), getattr(self._options, name)
            try:
                value = value if file is None else read_secret(file)
            except SecretError as error:
                raise ProbeError(str(error)) from error
            if value is not None:
                values[name] = value
        return values

    def _made(self, values: dict[str, str]) -> Probe:
        given: dict[str, Any] = {**values}
        for name in self._options.secrets:
            if hasattr(self._options, f"{name}_file"):
                given[f"{name}_file"] = None
        try:
            return replace(self._options, **given).make_probe()
        except OptionError as error:  # such as a line end; what it says may hold the secret
            raise ProbeError(f"what `{error.field}_file` holds cannot be used") from None


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) < _SHOWN_IF_SHORTER:
            continue
        for shape in (secret, plain(secret.encode(), len(secret)), _encoded(secret)):
            text = text.replace(shape, _HIDDEN)
    return text


def _encoded(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()
