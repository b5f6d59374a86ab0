"""How ipvsadm, which a colleague would use behind our back, is told of a server. Pure."""

from __future__ import annotations

from hadirector.config.model import Server, Service
from hadirector.ipvs.model import FirewallMark


def ipvsadm_names(service: Service, server: Server) -> list[str]:
    """`-t VIP:PORT -r SERVER:PORT` and the method."""
    method = {"nat": "-m", "dr": "-g", "tun": "-i"}[str(service.forward)]
    named = str(server.behind(service.listen))
    if isinstance(service.listen, FirewallMark):
        six = ["-6"] if service.listen.version == 6 else []
        return ["-f", str(service.listen.mark), *six, "-r", named, method]
    flag = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}[str(service.listen.protocol)]
    address = service.listen.address
    where = f"{address}" if address.version == 4 else f"[{address}]"
    return [flag, f"{where}:{service.listen.port}", "-r", named, method]
