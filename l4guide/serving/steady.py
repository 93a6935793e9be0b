"""A server in balance: how many sequences write, how long a token and the first one take, at any load.

The state is told by the sequences that write. In balance as many prompts are read as answers end, so a share of the
steps carries tokens of prompts; requests in flight are those that write and those that wait for their first token.
"""

import numpy as np

from l4guide.frozen import frozen
from l4guide.interval import Numbers
from l4guide.serving.batch import Shape, StepTimes
from l4guide.serving.calibration import Factors

#: States that are looked at, evenly apart in the logarithm.
STATES = 48


@frozen
class Server:
    """One copy of a model that serves requests of one shape.

    `slots` sequences fit its cache, each as long as the engine makes room for; `sequences_at_most` and
    `batched_tokens` are the engine's limits of a step. It `puts_off` answers for which its cache has no room left.
    """

    times: StepTimes
    shape: Shape
    factors: Factors
    slots: float
    sequences_at_most: int
    batched_tokens: int
    eager: bool = False
    puts_off: bool = True


@frozen
class Balance:
    """States of a server from idle to full, arrays: the last is the most that it writes at once.

    `writing` sequences write at `tpot` seconds a token; `requests_per_s` end, and as many begin. A prompt is read in
    `reading` seconds without others and holds up the rest for `service`; `busy` is the share of the room for prompts
    that is used. `without` and `carrying` are a step without and with tokens of prompts, `share` that of the latter.
    """

    server: Server
    writing: Numbers
    tpot: Numbers
    requests_per_s: Numbers
    reading: Numbers
    service: Numbers
    busy: Numbers
    without: Numbers
    carrying: Numbers
    share: Numbers
    limited_by: str


def balance(server: Server) -> Balance:
    """All states of a server."""
    shape, after = server.shape, server.shape.tokens_after
    fresh = shape.fresh_tokens
    most, limit = _most(server, after)
    writing = np.geomspace(min(0.02, most / 100), most, STATES)
    room = server.batched_tokens - writing
    # Tokens of prompts that come up for each step, and how they are spread over steps.
    due = writing * fresh / after
    parts = np.ceil(fresh / room)
    share = np.minimum(1.0, parts * writing / after)
    chunk = np.minimum(np.maximum(due / share, 0.0), room)
    begun = server.factors.request_s
    without = _seconds(server, writing, np.zeros_like(writing))
    carrying = _seconds(server, writing, chunk) + begun * chunk / fresh
    tpot = (1 - share) * without + share * carrying
    alone = np.minimum(fresh, room)
    service = (_seconds(server, writing, alone) - without) * fresh / alone + begun
    return Balance(
        server=server,
        writing=writing,
        tpot=tpot,
        requests_per_s=writing / (after * tpot),
        reading=parts * _seconds(server, writing, fresh / parts) + begun,
        service=service,
        busy=due / room,
        without=without,
        carrying=carrying,
        share=share,
        limited_by=limit,
    )


def _seconds(server: Server, sequences: Numbers, tokens: Numbers) -> Numbers:
    return server.times.seconds(server.shape, server.factors, sequences, tokens, eager=server.eager)


def _most(server: Server, after: float) -> tuple[float, str]:
    """The most sequences that write at once, and what limits them: the cache, the engine, or the reading of prompts."""
    reading = server.batched_tokens / (1.0 + server.shape.fresh_tokens / after)
    limits = {
        "kv_cache": server.slots,
        "max_num_seqs": float(server.sequences_at_most),
        "prefill": 0.995 * reading,
    }
    limit = min(limits, key=limits.__getitem__)
    return max(limits[limit], 1e-3), limit
