"""Kinds of checks from other packages: found by entry point, judged before they are used.

The problem: somebody's protocol is nobody else's, and must not need a fork of this package. The
approach: any installed distribution may name kinds in the entry point group `hadirector.checks`,
as `name = package.module:OptionsClass`. A kind is loaded when a configuration names it, and held to
what every kind of ours keeps; one that does not is refused with a sentence that says whose it is.

Must never take a kind that is ours from somebody else, or fail because of a package that no
configuration names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Final, get_args, get_origin, get_type_hints

from annotated_types import DocInfo

from checkers.base import CheckersError
from checkers.options import CheckOptions
from checkers.timing import Timing

GROUP: Final = "hadirector.checks"


class PluginError(CheckersError, KeyError):
    """A kind of another package that cannot be used; the sentence says whose, and why.

    A KeyError too: to whoever looks it up, it is not there.
    """

    def __str__(self) -> str:
        """The sentence, which KeyError would put in quotes."""
        return Exception.__str__(self)


@cache
def found() -> Mapping[str, tuple[EntryPoint, ...]]:
    """The kinds that installed packages name, by name; nothing is imported."""
    by_name: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        by_name[entry.name] = (*by_name.get(entry.name, ()), entry)
    return by_name


def load(name: str, ours: Mapping[str, type[CheckOptions]]) -> type[CheckOptions]:
    """The options of a kind that is not one of `ours`.

    Raises KeyError if no package has it, PluginError if it cannot be used.
    """
    entries = found()[name]
    if len(entries) > 1:
        owners = " and ".join(_owner(entry) for entry in entries)
        raise PluginError(f'{owners} both have a kind of check "{name}"; uninstall one')
    [entry] = entries
    try:
        options = entry.load()
    except Exception as error:  # whatever another package's import may raise
        raise PluginError(
            f'the kind of check "{name}" of {_owner(entry)} cannot be loaded: '
            f"{type(error).__name__}: {error}"
        ) from error
    for fault in _faults(name, options, ours):
        raise PluginError(
            f'the kind of check "{name}" of {_owner(entry)} cannot be used: {entry.value} {fault}'
        )
    kind: type[CheckOptions] = options
    return kind


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _faults(name: str, options: object, ours: Mapping[str, type[CheckOptions]]) -> Iterator[str]:
    """What is wrong with somebody's options, worst first."""
    if not (isinstance(options, type) and issubclass(options, CheckOptions)):
        yield "is no class derived from checkers.CheckOptions"
        return
    if "__dataclass_params__" not in vars(options) or not options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield "is no frozen dataclass"
        return
    if options.kind != name:
        yield f"calls itself {options.kind!r}"
    if options.make_probe is CheckOptions.make_probe:
        yield "makes no probe"
    hints = get_type_hints(options, include_extras=True)
    own = [item.name for item in dataclasses.fields(options)]
    for field in own:
        if not any(isinstance(note, DocInfo) for note in getattr(hints[field], "__metadata__", ())):
            yield f'does not say what its option "{field}" is for (annotated_types.doc)'
        if field in _types(Timing):
            yield f'has an option "{field}", which every check has'
    # An option may be inherited from defaults that name no kind: it must mean one thing.
    for kind in ours.values():
        for field, expected in _types(kind).items():
            if field in own and bare(hints[field]) != expected:
                yield f'has an option "{field}" of another type than checks of "{kind.kind}"'


def _types(model: type[CheckOptions] | type[Timing]) -> Mapping[str, object]:
    hints = get_type_hints(model, include_extras=True)
    return {item.name: bare(hints[item.name]) for item in dataclasses.fields(model)}


def bare(hint: object) -> object:
    """A type without what is said of it."""
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    arguments = tuple(bare(argument) for argument in get_args(hint))
    return (get_origin(hint), *arguments) if arguments else hint
