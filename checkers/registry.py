"""The kinds of checks by name. A new kind is one file and one line here.

Must never import what only a running probe needs: this is read wherever a configuration is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from checkers.agent import AgentOptions
from checkers.base import CheckOptions
from checkers.dns import DnsOptions
from checkers.file import FileOptions
from checkers.ftp import FtpOptions
from checkers.http import HttpOptions
from checkers.https import HttpsOptions
from checkers.imap import ImapOptions
from checkers.ldap import LdapOptions
from checkers.memcached import MemcachedOptions
from checkers.mysql import MysqlOptions
from checkers.ntp import NtpOptions
from checkers.ping import PingOptions
from checkers.pop3 import Pop3Options
from checkers.postgresql import PostgresqlOptions
from checkers.radius import RadiusOptions
from checkers.redis import RedisOptions
from checkers.script import ScriptOptions
from checkers.sip import SipOptions
from checkers.smtp import SmtpOptions
from checkers.tcp import TcpOptions
from checkers.tls import TlsOptions
from checkers.udp import UdpOptions

KINDS: Mapping[str, type[CheckOptions]] = MappingProxyType(
    {
        options.kind: options
        for options in (
            TcpOptions,
            HttpOptions,
            HttpsOptions,
            TlsOptions,
            DnsOptions,
            UdpOptions,
            PingOptions,
            ScriptOptions,
            FileOptions,
            AgentOptions,
            SmtpOptions,
            ImapOptions,
            Pop3Options,
            FtpOptions,
            RedisOptions,
            MemcachedOptions,
            MysqlOptions,
            PostgresqlOptions,
            LdapOptions,
            NtpOptions,
            RadiusOptions,
            SipOptions,
        )
    }
)
"""What a configuration calls `type`, and the options that go with it."""
