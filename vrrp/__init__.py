"""VRRP as a library and as a worker program.

The way in, from the wire to the address and back:

* `packet` bytes on the wire, and why some are refused;
* `machine` one virtual router's election, without a clock and without a socket; its words are in
  `events`, its transitions in `transitions`, its complaints about peers in `peers`;
* `group` virtual routers that move together;
* `hands` what can be done in the world, as an interface; `transport`, `announce`, `addresses`,
  `netlink`, `sysctl`, `process` do it: sockets and the kernel;
* `router` a group wired to hands, `holding` its addresses; `worker` the program that holds all
  routers of a host, `line` its way to the supervisor;
* `config` what an operator may set; `messages` what a supervisor and the worker say to each other;
* `dissect` a packet taken apart for people, `speakers` who is on a network and what looks wrong,
  `listen` the ear for it; `python -m vrrp` shows both;
* `diagram` the transitions as the documentation shows them;
* `will` how addresses are left behind in good order, by whoever is still alive to do it.

Nothing is imported here, so that a program pays only for the part it uses.
"""
