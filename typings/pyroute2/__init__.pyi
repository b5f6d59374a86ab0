"""The part of pyroute2 0.9 that this project uses, with types; the library ships none."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Literal, overload

class NetlinkError(Exception):
    code: int

class LinkInfo:
    def get_attr(self, name: Literal["IFLA_INFO_KIND"]) -> str | None: ...

class LinkMessage:
    def __getitem__(self, key: Literal["index", "flags"]) -> int: ...
    @overload
    def get_attr(
        self, name: Literal["IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_IFALIAS"]
    ) -> str | None: ...
    @overload
    def get_attr(self, name: Literal["IFLA_LINK"]) -> int | None: ...
    @overload
    def get_attr(self, name: Literal["IFLA_LINKINFO"]) -> LinkInfo | None: ...

class AddressMessage:
    def __getitem__(self, key: Literal["index", "flags", "prefixlen"]) -> int: ...
    @overload
    def get_attr(self, name: Literal["IFA_LOCAL", "IFA_ADDRESS"]) -> str | None: ...
    @overload
    def get_attr(self, name: Literal["IFA_FLAGS"]) -> int | None: ...

class RouteMessage:
    def __getitem__(self, key: Literal["type"]) -> int: ...

class AsyncIPRoute:
    async def __aenter__(self) -> AsyncIPRoute: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...
    async def setup_endpoint(self) -> None: ...
    def close(self) -> None: ...
    @overload
    async def link(self, command: Literal["get"], *, index: int) -> list[LinkMessage]: ...
    @overload
    async def link(
        self,
        command: Literal["add"],
        *,
        ifname: str,
        kind: str,
        link: int,
        macvlan_mode: str,
        address: str,
    ) -> object: ...
    @overload
    async def link(
        self,
        command: Literal["set"],
        *,
        index: int,
        state: Literal["up", "down"] = ...,
        ifalias: str = ...,
    ) -> object: ...
    async def get_links(self) -> AsyncIterator[LinkMessage]: ...
    async def route(self, command: Literal["get"], *, dst: str, oif: int) -> list[RouteMessage]: ...
    async def get_addr(self) -> AsyncIterator[AddressMessage]: ...
    async def addr(
        self,
        command: Literal["add"],
        *,
        index: int,
        address: str,
        prefixlen: int,
        scope: int = ...,
        label: str = ...,
        flags: int = ...,
        preferred: int = ...,
        valid: int = ...,
    ) -> object: ...
