"""Whole clusters of virtual routers on a virtual clock and a virtual network.

Several hosts run the real elections (`vrrp.group.Group`); the time, the wires between them and what
befalls them are computed from a seed. Thousands of worlds run in a minute, and each of them can be
run again, exactly:

* `options` what a world is like, `story` what happens in it; both are drawn from the seed;
* `network` the wires: loss, delay, duplication, reordering, cuts in one direction or both;
* `host` one director: its worker process, its supervisor, its addresses, its clock; `leaving` its
  last will, `wish` its configuration, which reloads change, and `weights` what its priorities
  depend on;
* `sealing` keyed hashes, keys that are rotated, and those who send again or forge what they heard;
* `world` the clock, and one step after the other until all is healed and must be well;
* `watch` what must hold at every step;
* `shrink` a smaller world that fails in the same way.

`python -m tests.simulation --seed N` tells one world as a timeline. `mutate` is for the decoder.
"""
