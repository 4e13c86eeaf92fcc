"""How many requests may begin in one turn of the event loop, and which may wait? Decided from what earlier ones have cost.

A request costs the loop its reading, decoding, inline run, record and answer. When more come than the loop can do, they wait
where they can still be refused cheaply, and not in a turn of the loop that nobody can interrupt.

Laws
- In a turn as many begin as are expected to take TURN_US, or as long as refusing the others took, at least one: so the
  sockets are looked at often, and refusing never gets more than half of the time.
- The cost of a request is that of the whole turn, refusals apart, by those who began in it: what it costs later, its run, its
  record and its answer, falls into turns that begin as many.
- Whoever can begin in the next turn may wait for it; beyond, nobody waits for more than SHARE of its deadline.
- One measurement moves the cost by at most a factor of 1 + WEIGHT · (OUTLIER - 1).
"""

# What a probe or a refusal waits for others; 20 to 40 small requests, which share one write of the log.
TURN_US = 3_000.0
READ_US = 6.0  # of a refusal: the system's call and the copy, before anything of ours can look at the clock
APPLICATION_US = 60.0  # a refusal that had to be parsed and goes through the application
WEIGHT = 0.1
OUTLIER = 4.0
FIRST_COST_US = 100.0  # before anything was measured
SHORTEST_US = 1.0
SHARE = 0.2  # of its deadline; the rest is for running it, for its answer, and for what was estimated wrong
# Of the rate at which requests begin: some dozens of turns, so that one interrupted turn is no verdict.
MEMORY_US = 200_000.0


class Pressure:
    """Is anybody being refused, or about to be? The one thing that a connection looks at before it reads a request."""

    __slots__ = ("high",)

    def __init__(self) -> None:
        self.high = False


class Pace:
    """What beginning a request costs the loop, and how often one begins while others wait."""

    __slots__ = ("_begun", "_cost_us", "_took_us", "portion")

    def __init__(self) -> None:
        self._cost_us = FIRST_COST_US
        self._begun, self._took_us = 1.0, FIRST_COST_US
        self.portion = int(TURN_US / FIRST_COST_US)

    def learn(self, begun: int, own_us: float, turn_us: float, refusing_us: float) -> None:
        """So many began in a turn; what it took of the thread's own time and by the clock, and refusing others in it."""
        each_us = max(SHORTEST_US, (own_us - refusing_us) / begun)
        self._cost_us += WEIGHT * (min(each_us, OUTLIER * self._cost_us) - self._cost_us)
        if begun >= self.portion:  # with fewer it was not the loop that set the pace
            kept = max(0.0, 1 - turn_us / MEMORY_US)
            self._begun = self._begun * kept + begun
            self._took_us = self._took_us * kept + turn_us
        self.portion = max(1, int(max(TURN_US, refusing_us) / self._cost_us))

    def waits_us(self, ahead: int) -> float:
        """How long a request waits behind so many."""
        return ahead * self._took_us / self._begun

    def room(self, timeout_ms: float) -> int:
        """So many may wait, it among them, that the turn of one with this time is early enough in it."""
        return max(self.portion, 1 + int(SHARE * timeout_ms * 1000 * self._begun / self._took_us))
