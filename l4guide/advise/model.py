"""The answer about a whole model on a card, in one word, in sentences, and as JSON."""

from l4guide.advise.inputs import Inputs
from l4guide.catalogue import Gpu
from l4guide.cost import MOST_CARDS, Contender, Question, Rate, Whole, memory_json
from l4guide.frozen import frozen
from l4guide.memory.sizes import GIB
from l4guide.model import Architecture, stored_bytes
from l4guide.text import Sentence, digits


@frozen
class ModelAnswer:
    """A model on one card, every card ranked, and what would change the answer."""

    gpu: Gpu
    whole: Whole
    ranking: tuple[Contender, ...]
    changes: tuple[Sentence, ...]
    remarks: tuple[Sentence, ...]
    inputs: Inputs

    @property
    def answer(self) -> str:
        """Whether the asked cards hold it in time, in one word; depends where more cards or a run would settle it."""
        room, late = self.whole.memory, self.whole.late
        if room.fits == "no":
            return "depends" if (room.gpus_needed or MOST_CARDS + 1) <= MOST_CARDS else "no"
        if late is not None:
            _, taken, limit = late
            return "no" if taken.low.item() > limit else "depends"
        return "yes"

    @property
    def recommendation(self) -> Sentence:
        """Stay, or take another card, because; from the ranking."""
        mine = next(item for item in self.ranking if item.gpu == self.gpu)
        able = [item for item in self.ranking if item.place != "out" and item is not mine]
        best = next((item for item in able if item.whole is not None and item.whole.rate is not None), None)
        values = {
            "model": self.whole.question.model.name,
            "gpu": cards_of(self.gpu, mine.cards or 1),
            "reason": mine.reason,
            **_money(mine.whole),
        }
        if best is not None:
            other = {f"other_{name}": value for name, value in _money(best.whole).items()}
            values |= {"other": cards_of(best.gpu, best.cards or 1), **other}
        return Sentence(f"recommend.model_{_choice(mine, best)}", values)

    @property
    def caveats(self) -> tuple[Sentence, ...]:
        """What puts the model's numbers in doubt."""
        return caveats(self.whole.question.model)

    @property
    def others(self) -> tuple[Sentence, ...]:
        """Why each other card lost that is neither the cheapest nor the fastest."""
        lost = (item for item in self.ranking if item.place in ("behind", "out"))
        return tuple(_taken(item) for item in lost if item.gpu != self.gpu)

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The keys of `l4guide cost` for a model."""
        question = self.whole.question
        return {
            "gpu": self.gpu.name,
            "question": self.inputs.to_json(language),
            "answer": self.answer,
            "recommendation": self.recommendation.say(language),
            **self.whole.to_json(),
            "memory": memory_json(self.whole.memory, self.whole.cards, language),
            "ranking": [item.to_json(language) for item in self.ranking],
            "what_would_change": [sentence.say(language) for sentence in self.changes],
            "remarks": [
                sentence.say(language)
                for sentence in (*self.caveats, *self.remarks, *loaded(question), *counted(question.model))
            ],
        }


def cards_of(gpu: Gpu, number: int) -> str:
    """A card, or so many of it."""
    return gpu.name if number == 1 else f"{number} × {gpu.name}"


def _taken(item: Contender) -> Sentence:
    number = 1 if item.place == "out" else item.cards or 1
    return Sentence("model.taken", {"gpu": cards_of(item.gpu, number), "reason": item.reason})


def _choice(mine: Contender, best: Contender | None) -> str:
    """Which recommendation it is: to stay on a card, or to take the cheapest other."""
    ours = None if mine.whole is None else mine.whole.usd_per_million_tokens
    theirs = None if best is None or best.whole is None else best.whole.usd_per_million_tokens
    if mine.place == "out":
        return "nobody" if theirs is None else "take"
    if ours is None:
        return "unpriced" if theirs is None else "unpriced_but"
    if theirs is None:
        return "stay_alone"
    if theirs.value.item() >= ours.value.item():
        return "stay_cheapest"
    return "take_cheaper" if theirs.high.item() < ours.low.item() else "stay_within"


def _money(whole: Whole | None) -> dict[str, object]:
    dollars = None if whole is None else whole.usd_per_million_tokens
    if whole is None or dollars is None or whole.rate is None:
        return {}
    low, value, high = (digits(end) for end in dollars.ends())
    hourly = digits(whole.rate.usd_per_hour)
    return {"usd": value, "low": low, "high": high, "hourly": hourly, "provider": provider_of(whole.rate)}


def provider_of(rate: Rate) -> Sentence:
    """Whose price it is, with its day."""
    if rate.as_of is None:
        return Sentence("price.own")
    return Sentence("price.dated", {"provider": rate.provider, "as_of": rate.as_of.isoformat()})


def caveats(model: Architecture) -> tuple[Sentence, ...]:
    """What puts a model's numbers in doubt: its type was never found to be read right, or it could not be traced."""
    if model.is_traced or model.model_type is None:
        return ()
    from l4guide.tracing import not_compared

    found = not_compared(model.model_type, model.trace)
    if model.untraced is not None:
        key = "counted.untraced" if found is None else "counted.untraced_uncompared"
        return (Sentence(key, {"reason": model.untraced}),)
    return () if found is None else (found,)


def counted(model: Architecture) -> tuple[Sentence, ...]:
    """How a model's parameters, cache and calls were found, where no caveat says it; a preset's may be published."""
    if model.trace is not None and model.is_traced:
        values = {"version": model.trace.transformers, "reason": model.trace.unsaid}
        return (Sentence("counted.traced_unrun" if model.trace.unsaid else "counted.traced", values),)
    return () if model.model_type is None or caveats(model) else (Sentence("counted.read"),)


def loaded(question: Question) -> tuple[Sentence, ...]:
    """That weights take other bytes than in their checkpoint, where it is kept in 32 bits."""
    model, weights = question.model, question.plan.weights
    if model.stored is None or model.weight_dtype != "fp32" or weights == "fp32":
        return ()
    kept = digits(stored_bytes(model.modules, model.stored, model.layer_count) / 1e9)
    return (Sentence("counted.loaded", {"gb": kept, "weights": weights}),)


def model_lines(whole: Whole) -> tuple[Sentence, ...]:
    """Memory, time and cost, each in a sentence, after what puts them in doubt; what does not fit has memory alone."""
    model = whole.question.model
    figures = () if whole.memory.fits == "no" else _speed_lines(whole)
    trained = _recipe_lines(whole) if whole.question.plan.trains else ()
    reading = whole.question.reading
    trained = (*(() if reading is None else reading.lines()), *trained)
    held = (_memory_line(whole), *loaded(whole.question), *trained)
    return (*caveats(model), *held, *figures, *counted(model))


def _recipe_lines(whole: Whole) -> tuple[Sentence, ...]:
    """The recipe that is assumed, the parts of its memory with what saves them, and what waits on the host."""
    from l4guide.memory.terms import assumed_recipe, host_line, parts_line

    waiting = host_line(whole.memory)
    said = (assumed_recipe(whole.memory), parts_line(whole.memory))
    return said if waiting is None else (*said, waiting)


def _memory_line(whole: Whole) -> Sentence:
    room = whole.memory
    low, value, high = (digits(end / GIB) for end in room.sizes.bytes.ends())
    return Sentence(
        "model.memory",
        {
            "model": whole.question.model.name,
            "gpu": whole.gpu.name,
            "gpus": whole.cards,
            "fits": Sentence(f"fits.{room.fits}"),
            "gib": value,
            "low": low,
            "high": high,
            "usable": digits(room.usable.bytes / GIB),
        },
    )


def _speed_lines(whole: Whole) -> tuple[Sentence, ...]:
    said = [_pace(whole)]
    if whole.step.runs:
        said.append(Sentence("model.put_right", {"runs": whole.step.runs, "gpu": whole.gpu.name}))
    if whole.prefill is not None and whole.decode is not None:
        first, each = whole.prefill.seconds.times(1e3), whole.decode.seconds.times(1e3)
        values = {"ttft": digits(first.value.item()), "tpot": digits(each.value.item())}
        said.append(Sentence("model.latency", {**values, "context": whole.question.context}))
    dollars = whole.usd_per_million_tokens
    if dollars is None or whole.rate is None:
        return (*said, Sentence("model.unpriced", {"gpu": whole.gpu.name}))
    low, value, high = (digits(end) for end in dollars.ends())
    money = {"usd": value, "low": low, "high": high, "hourly": digits(whole.rate.usd_per_hour)}
    said += _per_sequence(whole)
    if whole.rate.as_of is None:
        return (*said, Sentence("model.cost_own", money))
    dated = {
        "provider": whole.rate.provider,
        "as_of": whole.rate.as_of.isoformat(),
        "days": whole.rate.age_days,
    }
    key = "model.cost_old" if whole.rate.is_old else "model.cost"
    return (*said, Sentence(key, {**money, **dated}))


def _pace(whole: Whole) -> Sentence:
    """Tokens in a second; of an encoder sequences, how long a call takes, and that nothing is kept from it."""
    tokens = tuple(digits(end) for end in whole.step.tokens_per_s.ends())
    if not whole.encodes:
        low, value, high = tokens
        return Sentence("model.speed", {"speed": value, "low": low, "high": high})
    low, value, high = (digits(end) for end in whole.sequences_per_s.ends())
    values = {"batch": whole.question.batch, "context": whole.question.context, "speed": tokens[1]}
    values |= {"ms": digits(whole.latency_ms.value.item()), "sequences": value, "low": low, "high": high}
    return Sentence("model.encoder_speed", values)


def _per_sequence(whole: Whole) -> list[Sentence]:
    """What an encoder's sequences cost."""
    dollars = whole.usd_per_million_sequences
    if not whole.encodes or dollars is None:
        return []
    low, value, high = (digits(end) for end in dollars.ends())
    values = {"usd": value, "low": low, "high": high, "context": whole.question.context}
    return [Sentence("model.encoder_cost", values)]
