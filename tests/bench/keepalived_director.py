"""The packaged keepalived in the place of a director of the lab, set up for the same job.

What its documentation recommends for a pair that syncs connections is there: both begin as backups,
the sync daemon follows an instance, groups follow each other, and `preempt_delay` gives the kernel
of a director that comes back time to hear of connections before it takes over.
"""

from __future__ import annotations

import os
from pathlib import Path

from hadirector.drill.actor import DirectorActor

VIP, PORT = "192.0.2.100", 80
NETWORK = {"nat": "198.51.100", "dr": "192.0.2"}
PREEMPT_DELAY_S = 15
"""As long as ours listens at most (`warm_up`). Its kernel tells again of a connection that talks
every 50 packets, which are 12 s here."""
GROUP = """
vrrp_sync_group web {
  group {
    front
    back
  }
}
"""
INSTANCE = """
vrrp_instance {name} {{
  state BACKUP
  interface {interface}
  virtual_router_id {vrid}
  priority {priority}
  advert_int 1
  preempt_delay {delay}
  virtual_ipaddress {{
    {address}/24
  }}
}}
"""
SERVER = """
  real_server {network}.{last} {port} {{
    weight 1
    TCP_CHECK {{
      connect_timeout 1
    }}
  }}
"""
THEIRS = """
global_defs {{
  vrrp_version 3
  vrrp_garp_master_delay 1
  lvs_sync_daemon eth0 front id 51
}}
{instances}
virtual_server {vip} {port} {{
  delay_loop 2
  lb_algo wlc
  lb_kind {kind}
  protocol TCP
{servers}
}}
"""


class Keepalived(DirectorActor):
    """The packaged daemon in a director's place."""

    place: Path

    def start(self) -> None:
        ids = [f"--{each}={self.place}/{self.name}.{each}" for each in PID_FILES]
        argv = ["keepalived", "-n", "-l", "-f", str(self.place / f"{self.name}.conf"), *ids]
        environment = dict(os.environ)
        with self.log.open("ab") as log:
            self._process = self._built.spawn(
                self.machine, argv, environment=environment, output=log
            )
        self.powered = True


PID_FILES = ("pid", "vrrp_pid", "checkers_pid")


def keepalived_conf(forward: str, priority: int) -> str:
    """The same job in keepalived's words."""
    routers = [("front", "eth0", 51, VIP)]
    group = ""
    if forward == "nat":
        routers.append(("back", "eth1", 52, "198.51.100.1"))
        group = GROUP
    instances = "".join(
        INSTANCE.format(
            name=name,
            interface=interface,
            vrid=vrid,
            address=at,
            priority=priority,
            delay=PREEMPT_DELAY_S,
        )
        for name, interface, vrid, at in routers
    )
    servers = "".join(
        SERVER.format(network=NETWORK[forward], last=last, port=PORT) for last in (21, 22)
    )
    return THEIRS.format(
        instances=group + instances,
        vip=VIP,
        port=PORT,
        kind=forward.upper(),
        servers=servers,
    )
