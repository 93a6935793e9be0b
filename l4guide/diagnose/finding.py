"""What a diagnosis says: `Diagnosis`, its `Finding`s and their `Remedy`s, readable in either language."""

from collections.abc import Mapping
from dataclasses import field

from l4guide.catalogue import Source
from l4guide.diagnose.amounts import Amounts
from l4guide.frozen import frozen
from l4guide.support.verdict import address
from l4guide.text import Sentence, say


@frozen
class Remedy:
    """One way out, what it costs, and the command of l4guide that tells more about it."""

    text: Sentence
    cost: Sentence
    command: str

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The remedy as JSON."""
        return {"text": self.text.say(language), "cost": self.cost.say(language), "command": self.command}


@frozen
class Evidence:
    """A line of the paste that the finding rests on: its number, counted from 1, and its words."""

    line: int
    text: str


@frozen
class Finding:
    """One thing that the paste shows.

    `title` names library, code, kind and how sure it is. `kind` is one of a closed list (docs/symptoms.md). `code`
    is the support rule's where one has this text, else the symptom's; `symptom` is None where only a rule is known.
    `required_bytes` and `limit_bytes` are what was asked for and what was there, in bytes (of shared memory per
    block, or of the card's memory), `amounts` what else the message says of memory. `cause` is one or more
    sentences, `fixes` in the order to try them. `operators` holds the reasons that each refused operator or backend
    was given, `values` what else the text names, `passage` the words that were recognised. `card` is the one that
    the paste names, `cards` those with this limit. `question` holds the options of the question that the finding
    implies.
    """

    title: Sentence
    library: str
    kind: str
    confidence: str
    kernel: str | None
    code: str
    symptom: str | None
    rules: tuple[str, ...]
    required_bytes: int | None
    limit_bytes: int | None
    amounts: Amounts | None
    cause: tuple[Sentence, ...]
    fixes: tuple[Remedy, ...]
    operators: Mapping[str, tuple[str, ...]]
    values: Mapping[str, str]
    card: str | None
    cards: tuple[str, ...]
    question: Mapping[str, str]
    passage: str
    evidence: tuple[Evidence, ...]
    evidence_kind: str
    source: Source
    place: str

    def explain(self, language: str = "en") -> str:
        """The whole cause, sentence after sentence."""
        text = self.cause[0].say(language)
        for part in self.cause[1:]:
            text = say("diagnose.and_then", language, first=text, second=part.say(language))
        return text

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The finding as JSON; what is not known is absent."""
        values: dict[str, object] = {
            "kind": self.kind,
            "confidence": self.confidence,
            "library": self.library,
            "kernel": self.kernel,
            "code": self.code,
            "rules": list(self.rules) or None,
            "required_bytes": self.required_bytes,
            "limit_bytes": self.limit_bytes,
            "memory": (self.amounts.to_json() or None) if self.amounts else None,
            "card": self.card,
            "cards": list(self.cards) or None,
            "cause": self.explain(language),
            "fixes": [fix.to_json(language) for fix in self.fixes],
            "operators": {name: list(reasons) for name, reasons in self.operators.items()} or None,
            "values": dict(self.values) or None,
            "passage": self.passage,
            "evidence": [{"line": one.line, "text": one.text} for one in self.evidence],
            "evidence_kind": self.evidence_kind,
            "question": dict(self.question) or None,
            "source": address(self.source, self.place),
        }
        return {key: value for key, value in values.items() if value is not None}

    def say(self, language: str = "en") -> str:
        """The finding as lines to read."""
        lines = [self.title.say(language)]
        if self.kernel is not None:
            lines.append(say("diagnose.kernel", language, kernel=self.kernel))
        if self.required_bytes is not None and self.limit_bytes is not None:
            numbers = {"required": self.required_bytes, "limit": self.limit_bytes}
            lines.append(say("diagnose.bytes", language, **numbers))
        elif self.required_bytes is not None:
            lines.append(say("diagnose.required", language, required=self.required_bytes))
        lines.append(self.explain(language))
        for name, reasons in self.operators.items():
            lines.append(say("diagnose.operator", language, name=name, reasons="; ".join(reasons)))
        for number, fix in enumerate(self.fixes, start=1):
            told = {"text": fix.text.say(language), "cost": fix.cost.say(language)}
            lines.append(say("diagnose.fix", language, number=number, **told))
        for command in dict.fromkeys(fix.command for fix in self.fixes):
            lines.append(say("diagnose.command", language, command=command))
        for one in self.evidence:
            lines.append(say("diagnose.line", language, line=one.line, text=one.text))
        evidence = say(f"support.evidence_{self.evidence_kind}", language)
        where = address(self.source, self.place)
        lines.append(say("diagnose.source", language, evidence=evidence, source=where))
        return "\n".join(lines)


@frozen
class Diagnosis:
    """What a paste shows: every finding, the first cause first; none where the text is not known.

    `remarks` are about the paste itself, such as a part of it that was not read.
    """

    findings: tuple[Finding, ...]
    remarks: tuple[Sentence, ...] = field(default=())

    @property
    def status(self) -> str:
        """Whether something in the text is known here: known or unknown."""
        return "known" if self.findings else "unknown"

    @property
    def headline(self) -> Sentence:
        """The answer in one sentence."""
        if not self.findings:
            return Sentence("diagnose.unknown")
        values = {"number": len(self.findings)}
        return Sentence("diagnose.found_one" if len(self.findings) == 1 else "diagnose.found", values)

    def to_json(self, language: str = "en") -> dict[str, object]:
        """The first finding's keys beside `status`, the rest under `others`; what is not known is absent."""
        said: dict[str, object] = {
            "status": self.status,
            "kind": "unknown",
            "message": self.headline.say(language),
        }
        if self.findings:
            said |= self.findings[0].to_json(language)
        if len(self.findings) > 1:
            said["others"] = [finding.to_json(language) for finding in self.findings[1:]]
        if self.remarks:
            said["remarks"] = [remark.say(language) for remark in self.remarks]
        return said

    def say(self, language: str = "en") -> str:
        """The whole diagnosis as text to read."""
        parts = [finding.say(language) for finding in self.findings]
        ends = "\n".join(remark.say(language) for remark in (self.headline, *self.remarks))
        return "\n\n".join([ends, *parts])
