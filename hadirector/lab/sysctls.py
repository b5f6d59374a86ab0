"""Kernel settings of the machines in a lab world, below /proc/sys; what is set before their
interfaces exist, which inherit `default`.
"""

from __future__ import annotations

from typing import Final

BASE_SYSCTLS: Final = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    # An IPv6 address works at once, not after a second of asking whether anyone has it.
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
}
DIRECTOR_SYSCTLS: Final = {
    **BASE_SYSCTLS,
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/forwarding": "1",
}
THROUGH_VIP_SYSCTLS: Final = {"net/ipv4/conf/all/accept_local": "1"}
"""Of directors that probe through a virtual address of their own: its answers come from it."""
SILENT_SYSCTLS: Final = {
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
}
CLIENT_SYSCTLS: Final = {**BASE_SYSCTLS, "net/ipv4/ip_local_port_range": "1024 64999"}
