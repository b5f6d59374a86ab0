"""Every bound of the product in one place: queues, histories, waits and sizes.

The bounds of the libraries stand in `checkers/limits.py` and `vrrp`; those of this file belong to
the supervisor, the director and the command line.
"""

JOURNAL_EVENTS_MAX = 1_000  # kept in memory for `status` and `events`
JOURNAL_FILE_BYTES_MAX = 8 * 1024 * 1024  # then the file is renamed to .1 and begun again
JOURNAL_LINES_AT_ONCE_MAX = 256  # of one turn of the event loop, in one write
JOURNAL_RECALL_BYTES_MAX = 512 * 1024  # read back at a start, for the same
HEALTH_FILE_BYTES_MAX = 64 * 1024 * 1024  # what checks found: 40,000 of them with their results
HEALTH_AGE_MAX_S = 600.0  # what checks found longer ago says nothing of a server any more
HEALTH_KEPT_EVERY_S = 30.0  # and soon after a verdict changed, see the next line
HEALTH_KEPT_AFTER_S = 1.0
MESSAGE_BYTES_MAX = 64 * 1024 * 1024  # one line between processes: 100,000 servers take 20 MB
API_REQUEST_BYTES_MAX = 64 * 1024
API_REPLY_TIMEOUT_S = 10.0  # how long a command waits for the daemon
RELOAD_TIMEOUT_S = 60.0  # loading 10,000 servers takes seconds; more than this is a fault
READ_AHEAD_SERVERS_MIN = 1_000  # a smaller file is read faster than anybody notices
LOOKED_OVER_AFTER_S = 1.0  # a reload goes by what is known; the table is read soon after it
RECONCILE_RETRY_FIRST_S = 0.5  # after an error of the kernel, doubled up to the next line
RECONCILE_RETRY_MAX_S = 10.0

# How long a child may be silent. The VRRP worker's heartbeat bound follows the advertisement
# interval: it is what keeps a frozen director from holding an address.
START_S = 60.0
STOP_S = 5.0
DIRECTOR_STOP_S = 15.0  # it sends what the kernel has gathered (3 s), and flushes large tables
DIRECTOR_HEARTBEAT_S = 15.0
DIRECTOR_HEARTBEAT_EVERY_S = 1.0
CHECK_WORKER_HEARTBEAT_S = 5.0  # a frozen one is replaced then; its servers keep their states
CHECK_WORKER_STOP_S = 3.0
VRRP_HEARTBEAT_INTERVALS = 2.0
VRRP_HEARTBEAT_MIN_S = 0.1
HOLD_EXPECTED_S = 30.0  # a director that is not ready by then is worth a word
HEARTBEAT_GRACE_S = 0.02  # a last look into the socket before a child counts as frozen
EXIT_S = 0.5  # between a child's closed channel and its end
KILLED_S = 2.0  # between SIGKILL and the end; longer only in the kernel's own hands
NOTES_KEPT_MAX = 100  # what the supervisor has to tell while the director process is down
WARM_UP_LOOK_S = 0.5  # how soon it is seen that there is nobody left to learn connections from
DRAIN_LOOK_S = 1.0  # how often connections are counted while a drain ends by itself

# The peer channel. Its messages are bounded in `peer.messages`, silence and rate in `peer.link`.
PEER_CONNECT_S = 5.0  # from the first packet to the end of the handshake
PEER_RETRY_FIRST_S = 0.5  # before it is dialled again, doubled up to the next line
PEER_RETRY_MAX_S = 5.0
PEER_STRANGERS_MAX = 4  # connections in their handshake at once
PEER_CLOSE_S = 0.5  # for the goodbye to leave
PEER_STATE_EVERY_S = 1.0  # a state is told, and at once when it changed, but
PEER_STATE_SPACING_S = 0.1  # not more often than this
PEER_ASKS_MAX = 8  # questions to the peer that wait for their answer
PEER_ABSENT_AFTER_S = 10.0  # of a start: by then the peer should have been met
PEER_FLAPS_MAX = 5  # connections within the next line that are worth a word
PEER_FLAPS_WITHIN_S = 600.0
PEER_CAUSES_TOLD_MAX = 20  # refusals journaled one by one within that time; the rest is counted
DEPARTURE_LOOK_MAX_S = (
    10.0  # the same while a server that left the file is waited for, doubled up to this
)
AUDIT_PUT_OFF_MAX = 20  # readings of the table in a row that give way to news; the next does not
