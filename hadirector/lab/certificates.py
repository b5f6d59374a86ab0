"""The certificate of the real servers that speak TLS.

The problem: a configured https check verifies the server's certificate, and nobody but their owner
can sign for the real servers' names. The approach: one self-signed certificate, made by `openssl`,
for every name and address that the checks ask for; the directors of the lab are to trust it
(`SSL_CERT_FILE`). It must never leave the lab: it is made anew for each world.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hadirector.lab.embedded_kernel import SEARCH_PATH
from hadirector.lab.errors import CommandFailed, LabUnavailable
from hadirector.lab.world import RealServer

OPENSSL_BOUND_S: Final = 30.0
DAYS_VALID: Final = 7
CERTIFICATE: Final = "servers.pem"
"""Name of the file with key and certificate."""


def make_certificate(servers: Iterable[RealServer], directory: Path) -> Path | None:
    """A PEM file with key and certificate for all TLS ports; None when there are none.

    Raises LabUnavailable without `openssl`, CommandFailed when it fails.
    """
    names = subject_names(servers)
    if not names:
        return None
    program = shutil.which("openssl", path=SEARCH_PATH)
    if program is None:
        raise LabUnavailable(
            "the configuration has https checks, and openssl is not on this host to make the "
            "servers' certificate",
            remedy="install it with: apt-get install openssl",
        )
    key, certificate, both = (directory / name for name in ("key.pem", "cert.pem", CERTIFICATE))
    argv = [
        *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", str(DAYS_VALID), "-subj", "/CN=hadirector lab"),
        *("-addext", f"subjectAltName={','.join(names)}"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=OPENSSL_BOUND_S)
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        raise CommandFailed(f"openssl could not make the servers' certificate: {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(f"openssl could not make the servers' certificate: {error}") from error
    both.write_text(key.read_text() + certificate.read_text())
    return both


def subject_names(servers: Iterable[RealServer]) -> list[str]:
    """Alternative names in openssl's spelling, each once: `IP:192.0.2.1`, `DNS:www.example.org`."""
    names = (
        name for server in servers for listener in server.listeners for name in listener.tls_names
    )
    return list(dict.fromkeys(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
