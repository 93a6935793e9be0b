"""Requests that come to a server: always so many in flight, at a rate, or from users who think between them.

Latencies are means and percentiles, in closed form: a prompt waits for the step that runs, for prompts before it as in
a queue with one server and equal service (Pollaczek and Khinchine), and where the cache is full for an answer to end,
as in a queue with as many servers as sequences fit (Sakasegawa). Waits have exponential tails. `tests` compare all of
it with a simulation, request by request.
"""

from functools import cache
from math import erf, sqrt

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Numbers
from l4guide.serving.steady import Balance

#: By how much more requests than fit there are before every one that ends has put another off.
RAMP = 0.25
#: The mean of how far a number that is spread as counts are lies above its own mean, in standard deviations.
BY_CHANCE = 0.4
#: A server is not kept busier than this.
BUSIEST = 0.98


@frozen
class Latencies:
    """What requests find, arrays of one shape: seconds, requests in flight, requests per second.

    `ttft` and `tpot` are means, `ttft_late` and `tpot_late` percentiles. `full` says where a server does no more: then
    requests wait for others to end, and at a rate the line before it grows for ever.
    """

    in_flight: Numbers
    requests_per_s: Numbers
    ttft: Numbers
    tpot: Numbers
    ttft_late: Numbers
    tpot_late: Numbers
    full: Numbers

    def every(self, step: int) -> "Latencies":
        """Each so manieth place."""
        return Latencies(**{name: getattr(self, name)[::step] for name in Latencies.__dataclass_fields__})


def closed(state: Balance, in_flight: Numbers, percentile: float = 0.5) -> Latencies:
    """So many requests always in flight: each that ends is followed by another."""
    # A new prompt follows at once on the step that ended another request; now and then it meets another prompt.
    first = state.reading + state.busy * state.service / 2
    # Where answers differ in length, requests meet by chance; never more of them than there are.
    busy = _busy(state)
    met = np.minimum(
        _tail(busy * state.service / (2 * (1 - busy)), busy, percentile), state.writing * state.service
    )
    late = state.reading + percentile * state.without + met
    there = state.writing + state.requests_per_s * first
    over = in_flight / there[-1]
    slower = _preempted(state, over)
    rate = _read(there, state.requests_per_s, in_flight) / slower
    waiting = np.maximum(in_flight - there[-1], 0.0) / rate
    return Latencies(
        in_flight=in_flight,
        requests_per_s=rate,
        ttft=_read(there, first, in_flight) + waiting,
        tpot=_read(there, state.tpot, in_flight) * slower,
        ttft_late=_read(there, late, in_flight) + waiting,
        tpot_late=_read(there, _slow(state, percentile), in_flight) * slower,
        full=over > 1.0,
    )


def open_(state: Balance, requests_per_s: Numbers, percentile: float = 0.5) -> Latencies:
    """Requests at a rate, each by itself."""
    mean, late = _waits(state, percentile)
    along, most = state.requests_per_s, state.requests_per_s[-1]
    rate = np.minimum(requests_per_s, most)
    ttft, tpot = _read(along, mean, rate), _read(along, _token(state), rate)
    return Latencies(
        in_flight=rate * (ttft + state.server.shape.tokens_after * tpot),
        requests_per_s=rate,
        ttft=ttft,
        tpot=tpot,
        ttft_late=_read(along, late, rate),
        tpot_late=_read(along, _slow(state, percentile, varied=True), rate),
        full=requests_per_s > most * BUSIEST,
    )


def thinking(state: Balance, users: Numbers, think_s: float, percentile: float = 0.5) -> Latencies:
    """Users who each think so long after an answer before they ask again; without that they are always in flight."""
    if think_s <= 0:
        return closed(state, users, percentile)
    mean, late = _waits(state, percentile)
    along = state.requests_per_s * (think_s + state.reading + state.server.shape.tokens_after * state.tpot)
    rate = _read(along, state.requests_per_s, users)
    over = users / along[-1]
    # Users beyond what the server does stand in line. So many users never come all by themselves: the number that is
    # under way is spread as counts are, which bounds how long a line they make.
    waiting, apart = np.maximum(users - along[-1], 0.0) / rate, np.sqrt(users) / rate
    reading = _read(along, state.reading, users)
    queued = np.minimum(_read(along, mean - state.reading, users), BY_CHANCE * apart)
    ttft, tpot = reading + np.hypot(waiting, queued), _read(along, _token(state), users)
    z = normal_quantile(percentile)
    rarely = np.minimum(_read(along, late, users), reading + max(z, 0.0) * apart)
    return Latencies(
        in_flight=rate * (ttft + state.server.shape.tokens_after * tpot),
        requests_per_s=rate,
        ttft=ttft,
        tpot=tpot,
        ttft_late=np.where(over > 1.0, ttft * (1.0 + z / np.sqrt(np.maximum(rate * ttft, 1.0))), rarely),
        tpot_late=_read(along, _slow(state, percentile, varied=True), users),
        full=over > 1.0,
    )


def _busy(state: Balance) -> Numbers:
    """The share of the time that prompts take up."""
    return np.minimum(state.requests_per_s * state.service, BUSIEST)


def _token(state: Balance) -> Numbers:
    """Seconds a token where requests come by themselves: prompts that wait behind one hold up its first tokens."""
    busy = _busy(state)
    found: Numbers = state.tpot + busy * state.service / (2 * (1 - busy)) / state.server.shape.tokens_after
    return np.where(busy < BUSIEST, found, state.tpot)


def _waits(state: Balance, percentile: float) -> tuple[Numbers, Numbers]:
    """Seconds to the first token where requests come by themselves: the mean and a percentile."""
    busy = _busy(state)
    prompts = busy * state.service / (2 * (1 - busy))
    held = np.minimum(state.writing / state.writing[-1], BUSIEST)
    places, stay = max(state.writing[-1], 1.0), state.server.shape.tokens_after * state.tpot
    room = stay / places * held ** (sqrt(2 * (places + 1)) - 1) / (1 - held) / 2
    if state.limited_by == "prefill":  # then it is prompts that wait, not answers
        room = np.zeros_like(room)
    mean = state.tpot / 2 + state.reading + prompts + room
    late = percentile * state.carrying + state.reading + _tail(prompts, busy, percentile)
    chance = np.clip(room * places / np.maximum(stay, 1e-12) * 2 * (1 - held), 1e-12, 1.0)
    return mean, late + _tail(room, chance, percentile)


def _tail(mean: Numbers, chance: Numbers, percentile: float) -> Numbers:
    """The wait that a share of requests does not exceed: none for those that find nobody, exponential for the rest."""
    chance = np.clip(chance, 1e-12, 1.0)
    found: Numbers = mean / chance * np.log(np.maximum(chance / (1 - percentile), 1.0))
    return found


def _slow(state: Balance, percentile: float, *, varied: bool = False) -> Numbers:
    """Seconds a token at a percentile of requests: some meet more prompts, and where `varied` more requests."""
    z = normal_quantile(percentile)
    after = state.server.shape.tokens_after
    meets = np.sqrt(state.share * (1 - state.share) / after) * (state.carrying - state.without)
    if not varied:
        return np.maximum(state.tpot + z * meets, state.without)
    among = np.gradient(state.tpot, state.writing) * np.sqrt(state.writing)
    apart = np.hypot(meets / (1 - _busy(state)), np.maximum(among, 0.0))
    return np.maximum(_token(state) + z * apart, state.without)


@cache
def normal_quantile(share: float) -> float:
    """Standard deviations above the mean of a normal distribution that a share lies below."""
    low, high = -9.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + erf(middle / sqrt(2))) / 2 < share else (low, middle)
    return (low + high) / 2


def _read(along: Numbers, values: Numbers, at: Numbers) -> Numbers:
    """Values at places between those that are known, straight in the logarithms."""
    found: Numbers = np.exp(
        np.interp(np.log(np.maximum(at, along[0])), np.log(along), np.log(np.maximum(values, 1e-12)))
    )
    return found


def _preempted(state: Balance, over: Numbers) -> Numbers:
    """How much longer everything takes where the cache is full: what is put off is read again."""
    if state.limited_by != "kv_cache" or not state.server.puts_off:
        return np.ones_like(over)
    lost = state.server.factors.reread * state.service[-1] * state.requests_per_s[-1]
    found: Numbers = 1.0 + lost * np.clip((over - 1.0) / RAMP, 0.0, 1.0)
    return found
