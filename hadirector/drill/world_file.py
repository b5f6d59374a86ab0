"""The pair's file on the stage: a working copy of the user's, which the scenarios may change."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import yaml

from hadirector.config.addresses import join
from hadirector.config.model import Config, Server
from hadirector.ipvs.model import VirtualAddress
from hadirector.peer.material import make, utc_now

BROKEN_LINE = "servicess: []"
SEARCHED_MAX = 100


class WorldFile:
    """The working copy. `path` is what the directors of the stage read."""

    def __init__(self, original: Path, config: Config, workdir: Path) -> None:
        self.path = workdir / original.name
        self.extra = extra_server(config)
        self._document = yaml.safe_load(original.read_text(encoding="utf-8"))
        self._text = original.read_text(encoding="utf-8")
        if "include" in self._document:
            # The copy lies elsewhere, so relative names must be made absolute.
            names = self._document["include"]
            names = [names] if isinstance(names, str) else names
            self._document["include"] = [str(original.parent / name) for name in names]
            self._text = yaml.safe_dump(self._document, sort_keys=False)
        if config.peer is not None:
            # The user's certificates are none of the lab's business: the world has its own.
            make(config.nodes, workdir / "peer", now=utc_now())
            place = workdir / "peer"
            files = {
                "certificate": f"{place}/{{node}}.pem",
                "key": f"{place}/{{node}}.key",
                "ca": f"{place}/ca.pem",
            }
            self._document["peer"] = {**(self._document.get("peer") or {}), **files}
            self._text = yaml.safe_dump(self._document, sort_keys=False)
        self.path.write_text(self._text, encoding="utf-8")

    def write_with_extra_server(self) -> None:
        """The file with the extra server at the end of its first service."""
        document = yaml.safe_load(self._text)
        service = document["services"][0]
        service["servers"] = [
            *service["servers"],
            {"address": join(self.extra.address, self.extra.port), "weight": self.extra.weight},
        ]
        self.path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def write_broken(self) -> int:
        """The file with a misspelt key at its end; returns the number of that line."""
        text = f"{self._text.rstrip()}\n{BROKEN_LINE}\n"
        self.path.write_text(text, encoding="utf-8")
        return len(text.splitlines())

    def restore(self) -> bool:
        """The file as the user wrote it; returns whether it was another."""
        if self.path.read_text(encoding="utf-8") == self._text:
            return False
        self.path.write_text(self._text, encoding="utf-8")
        return True


def extra_server(config: Config) -> Server:
    """A server that the first service could have besides: like its first, at a free address."""
    service = config.services[0]
    named = {node.address for node in config.nodes.values()}
    for each in config.services:
        named |= {server.address for server in each.servers}
        named |= {one.address for one in each.fallbacks}
        named |= {key.address for key in each.listens if isinstance(key, VirtualAddress)}
    named |= {address.ip for router in config.virtual_routers for address in router.all_addresses}
    first = service.servers[0]
    return replace(first, address=_free_address(first.address, named))


def _free_address(
    near: IPv4Address | IPv6Address, named: set[IPv4Address | IPv6Address]
) -> IPv4Address | IPv6Address:
    for distance in range(1, SEARCHED_MAX):
        candidate = near + distance
        if candidate not in named and not str(candidate).endswith((".255", ".0")):
            return candidate
    raise ValueError(f"no address is free near {near}")


def with_extra_server(config: Config, extra: Server) -> Config:
    """The configuration for which the world is built: the extra server exists from the start."""
    first, *rest = config.services
    more = replace(first, servers=(*first.servers, extra))
    return replace(config, services=(more, *rest))
