"""Every bound of the checkers package in one place.

A fleet of probes meets servers that never answer, answer for ever, or answer with rubbish. Whatever
they do, memory, descriptors and time stay within the numbers below. Numbers that a user may choose
are options of a check, not limits.
"""

PROBES_IN_FLIGHT_MAX = 8192
"""Probes under way at one time, where the process's descriptor limit allows as many."""

DESCRIPTORS_RESERVED = 128
"""Descriptors left to the rest of the process when the bound above is cut to its limit."""

PROBE_OVERRUN_S = 0.5
"""How far a probe may overrun its own deadline before it is cancelled and reported as broken."""

DEADLINE_LATE_S = 0.25
"""A deadline noticed later than this says that our process stood still, not that a server did."""

PROBE_STARTS_PER_WAKE_MAX = 200
"""Probes started before the event loop gets its turn again: bounds the delay for everybody else."""

TIMER_GRAIN_S = 0.05
"""Checks whose places are within this time begin together, a wake-up for all of them; at most."""

TIMER_GRAIN_SHARE = 0.05
"""The same as a share of the interval, which is what bounds it for quick checks."""

COLLECT_AFTER = 20_000
"""Objects that are made, and not freed again, before a process that makes probes looks for cycles
among them: a round of probes alone makes thousands, all of which are gone with their results."""

QUICK_STARTS_PER_POLL = 8
"""Quick probes begun before their sockets are looked at: what they measure is no later than that.
"""

EVENTS_PER_POLL_MAX = 1024
"""Sockets told of in one look at them."""

HELD_AGAIN_S = 0.01
"""A held connection that is lost as soon as it was made anew is made again after this, doubling."""

HALF_OPEN_PORTS = 4
"""Ports that half-open probes come from, in turn, of each address family and way."""

SEGMENTS_PER_LOOK_MAX = 1024
"""Segments read from a raw socket before everybody else gets a turn."""

FIRST_ROUND_S = 1.0
"""A check that is new gets its first probe within this time, however long its interval is."""

HISTORY_FAILURES_MAX = 8
"""Last failures kept per check."""

HISTORY_PASSES_MAX = 4
"""Last passes kept per check; fewer, since failures are what people ask about."""

RESULTS_REMEMBERED_MAX = 4
"""Last results of a check that are kept across a restart."""

TRANSCRIPT_LINES_MAX = 40
"""Lines of a probe's transcript."""

TRANSCRIPT_LINE_CHARACTERS_MAX = 240
"""Characters of one transcript line, and of any text of a server quoted in a sentence."""

HTTP_OVERHEAD_BYTES_MAX = 65_536
"""Bytes of a reply that are not body (headers, chunk framing, interim replies)."""

HTTP_HEAD_BYTES_MAX = 16_384
"""Bytes of a reply's status line and headers; and of its trailers, and of the header of a chunk."""

HTTP_BODY_LIMIT_MAX = 10 * 1024 * 1024
"""The most that the option `body_limit` may ask for."""

TLS_CONTEXTS_MAX = 64
"""TLS settings kept ready; each holds a whole set of trusted certificates in memory."""

HTTP_PATHS_MAX = 16
"""Paths that one check may ask for, one after another within its timeout."""

DIALOGUE_BYTES_MAX = 65_536
"""Bytes that a server may send in a dialogue (mail, databases, send and expect)."""

TLS_BYTES_MAX = 262_144
"""Bytes that a server may send in a dialogue over TLS, all records as they are: besides what the
dialogue may hold, a handshake (of which OpenSSL takes 100 KiB of certificates) and tickets."""

DIALOGUE_READ_BYTES = 4096
"""Bytes of a dialogue that are read, and then parsed, before everybody else gets a turn."""

DIALOGUE_LINE_BYTES_MAX = 8192
"""Bytes of one line of a dialogue; the longest that the protocols here allow is a tenth of it."""

DATAGRAMS_IGNORED_MAX = 64
"""Datagrams that answer something else, after which the server has failed."""

SCRIPTS_AT_ONCE_MAX = 64
"""Scripts under way at one time; each is a process."""

SCRIPT_OUTPUT_KEPT_BYTES_MAX = 4096
"""Of a script's output, what is kept for people."""

SCRIPT_OUTPUT_READ_BYTES_MAX = 1024 * 1024
"""Of a script's output, what is read; a script that says more waits until its timeout."""

SCRIPT_DEATH_S = 0.05
"""How long a killed script may take to be gone before it is left to the kernel."""

PACKETS_BEFORE_FILTER_MAX = 4096
"""Packets that a raw socket may have heard before its filter; more than its buffer holds."""

FILE_BYTES_MAX = 256
"""Of a file that carries a weight, what is read."""

SECRET_BYTES_MAX = 4096
"""Of the file that holds a secret, its first line."""

PATTERN_CPU_S = 0.05
"""Processor time that one search for a regular expression may take."""

WORKER_LINE_BYTES_MAX = 16 * 1024 * 1024
"""One line from or to a check worker."""

WORKER_TAKES_AT_ONCE_MAX = 1000
"""Checks in one line to a worker; at the length of a long script, far below the bound above."""

WORKER_BATCH_MAX = 256
"""Results that a worker tells of in one line."""

WORKER_GATHERS_S = 0.005
"""How long a worker gathers results; so much later, at most, is anything known."""

WORKER_HEARTBEAT_EVERY_S = 1.0
"""How often a worker says that it lives."""

WORKER_UNREAD_BYTES_MAX = 64 * 1024 * 1024
"""What a worker has said and nobody has read; more says that its director is broken."""
