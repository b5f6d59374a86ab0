"""The packaged Dovecot with four ports: IMAP and POP3, plain (with STARTTLS) and over TLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trustme

from checkers.base import Target
from tests.checkers import packaged, servers
from tests.checkers.dialogues import certificate

CONFIG = """
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
listen = 127.0.0.1
protocols = imap pop3
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_failure_delay = 0
auth_username_chars =
first_valid_uid = 1
mail_location = maildir:{directory}/mail
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={directory}/mail
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""


@dataclass(frozen=True)
class Ports:
    """Where it listens."""

    imap: Target
    imaps: Target
    pop3: Target
    pop3s: Target


@contextmanager
def dovecot(authority: trustme.CA) -> Iterator[Ports]:
    """From when it listens to its end."""
    ports = {name: servers.free_port() for name in ("imap", "imaps", "pop3", "pop3s")}
    with packaged.open_directory("dovecot") as directory:
        file = certificate(authority, directory)
        mail = directory / "mail"
        mail.mkdir()
        mail.chmod(0o777)
        config = directory / "dovecot.conf"
        config.write_text(CONFIG.format(directory=directory, certificate=file, **ports))
        arguments = ["dovecot", "-F", "-c", str(config)]
        with packaged.running(arguments, directory, ports["imap"]):
            yield Ports(**{name: Target(servers.LOOPBACK, port) for name, port in ports.items()})
