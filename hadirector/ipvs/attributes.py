"""The numbers of IPVS's messages: commands and attributes, as ``linux/ip_vs.h`` has them."""

from enum import IntEnum


class Command(IntEnum):
    """Generic netlink commands of the IPVS family."""

    NEW_SERVICE = 1
    SET_SERVICE = 2
    DEL_SERVICE = 3
    GET_SERVICE = 4
    NEW_DEST = 5
    SET_DEST = 6
    DEL_DEST = 7
    GET_DEST = 8
    SET_INFO = 14
    GET_INFO = 15


class Top(IntEnum):
    """What a message holds (IPVS_CMD_ATTR_*)."""

    SERVICE = 1
    DEST = 2


class Svc(IntEnum):
    """Of a service (IPVS_SVC_ATTR_*)."""

    AF = 1
    PROTOCOL = 2
    ADDR = 3
    PORT = 4
    FWMARK = 5
    SCHED_NAME = 6
    FLAGS = 7
    TIMEOUT = 8
    NETMASK = 9
    STATS = 10
    PE_NAME = 11
    STATS64 = 12


class Dest(IntEnum):
    """Of a server (IPVS_DEST_ATTR_*)."""

    ADDR = 1
    PORT = 2
    FWD_METHOD = 3
    WEIGHT = 4
    U_THRESH = 5
    L_THRESH = 6
    ACTIVE_CONNS = 7
    INACT_CONNS = 8
    PERSIST_CONNS = 9
    STATS = 10
    ADDR_FAMILY = 11
    STATS64 = 12
    TUN_TYPE = 13
    TUN_PORT = 14
    TUN_FLAGS = 15
