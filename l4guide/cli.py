"""The command line: parse, call, print. JSON goes to stdout alone; everything else that is said goes to stderr."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from l4guide import __version__
from l4guide.errors import BadInput, CannotDo, Problem
from l4guide.files import write_text
from l4guide.options import FLAGS, MODEL, MODEL_FLAGS, PRICE, QUESTION, add_question, add_trace
from l4guide.text import LANGUAGES, Sentence, say

Options = argparse.Namespace
#: What an attention call is estimated for where nobody names an implementation.
USUAL = "flash-attn"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other complaint here.

    `fill` adds its options when it is asked to parse: of a dozen commands one is.
    """

    def __init__(self, *, fill: Callable[["Parser"], None] | None = None, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._fill = fill

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - argparse has overloads
        """As argparse does, with all options there."""
        fill, self._fill = self._fill, None
        if fill is not None:
            fill(self)
        return super().parse_known_args(*arguments, **named)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a page of usage."""
        raise BadInput("error.command_line", problem=message, program=self.prog)


def question(options: Options) -> dict[str, object]:
    """What was said of the workload and the price, by option name; what was not said is absent."""
    names = [name.replace("-", "_") for name, _ in (*QUESTION, *PRICE, *MODEL)] + [
        *FLAGS,
        *(name for name, _ in MODEL_FLAGS),
        "causal",
        "model",
        "config",
        "component",
        "spot",
        "measured",
        "no_measurements",
    ]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def _advise(options: Options) -> tuple[object, str]:
    from l4guide.advise import advise
    from l4guide.screen import of_advice

    advice = advise(options.gpu, question(options))
    screen = of_advice(advice, every=options.all)
    return advice.to_json(options.language), screen.say(options.language, every=options.all)


def _support(options: Options) -> tuple[object, str]:
    from l4guide.advise import question_line, support_of
    from l4guide.screen import of_support

    asked = question(options)
    verdict = support_of(options.gpu, asked, options.library, options.version)
    inputs = question_line(options.gpu, asked)
    said = verdict.to_json(options.language) | {"question": inputs.to_json(options.language)}
    return said, of_support(verdict, inputs).say(options.language, every=options.all)


def _resources(options: Options) -> tuple[object, str]:
    from l4guide.catalogue import find_gpu
    from l4guide.resources import resources_for
    from l4guide.workload import whole_number

    gpu, _ = find_gpu(options.gpu)
    tile: dict[str, Any] = {
        name: None
        if (value := getattr(options, name)) is None
        else whole_number(name.replace("_", "-"), value)
        for name in ("block_m", "block_n", "warps", "stages")
    }
    answer = resources_for(
        gpu,
        options.kernel,
        whole_number("head-dim", options.head_dim),
        options.dtype,
        head_dim_v=None if options.head_dim_v is None else whole_number("head-dim-v", options.head_dim_v),
        causal=options.causal,
        compile=options.compile,
        **tile,
    )
    return answer.to_json(), answer.say(options.language)


def _estimate(options: Options) -> tuple[object, str]:
    from l4guide.advise import estimate_of, question_line, whole_estimate
    from l4guide.cost import memory_json
    from l4guide.screen import of_estimate, of_whole

    if options.workloads is not None:
        return _estimate_many(Path(options.workloads), options)
    asked = question(options)
    inputs = question_line(options.gpu, {**asked, "implementation": options.implementation})
    echoed = {"question": inputs.to_json(options.language)}
    if "model" in asked or "config" in asked:
        whole, runs = whole_estimate(options.gpu, asked, options.implementation)
        memory = memory_json(whole.memory, whole.cards)
        told = {"gpu": whole.gpu.name, **whole.to_json(), "memory": memory, **echoed}
        return told | _said_of(runs, options), of_whole(whole, inputs, runs).say(options.language)
    gpu, estimate, runs = estimate_of(options.gpu, asked, options.implementation or USUAL)
    said = estimate.to_json() | _said_of(runs, options) | echoed
    return said, of_estimate(gpu, estimate, inputs, runs).say(options.language)


def _said_of(runs: Sequence[Sentence], options: Options) -> dict[str, object]:
    return {"runs": [line.say(options.language) for line in runs]}


def _estimate_many(path: Path, options: Options) -> tuple[object, str]:
    from l4guide.advise import estimate_rows

    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CannotDo(
            "error.cannot_read", path=path, problem=getattr(error, "strerror", None) or error
        ) from error
    defaults: dict[str, object] = {"gpu": options.gpu, "implementation": options.implementation or USUAL}
    answered = estimate_rows(rows, {**defaults, **question(options)}, options.language)
    if options.out is not None:
        columns = list(dict.fromkeys(name for row in answered for name in row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(answered)
        write_text(Path(options.out), buffer.getvalue())
    return answered, say("cli.estimated_rows", options.language, rows=len(answered), out=options.out or "-")


def _cost(options: Options) -> tuple[object, str]:
    from l4guide.advise import break_even, cost_for, model_answer, question_line
    from l4guide.screen import of_attention_cost, of_cost

    asked = question(options)
    if options.map is not None:
        found = break_even(options.gpu, asked, options.map)
        return found.to_json(options.language), found.say(options.language)
    if "model" in asked or "config" in asked:
        answer = model_answer(options.gpu, asked, options.implementation)
        screen = of_cost(answer, every=options.all)
        return answer.to_json(options.language), screen.say(options.language, every=options.all)
    gpu, cost = cost_for(options.gpu, asked, options.implementation)
    inputs = question_line(options.gpu, {**asked, "implementation": options.implementation})
    said = {"gpu": gpu, **cost.to_json(), "question": inputs.to_json(options.language)}
    return said, of_attention_cost(gpu, cost, inputs).say(options.language)


def _trace(options: Options) -> tuple[object, str]:
    from l4guide.tracing import described

    return described(vars(options), options.language)


def _diagnose(options: Options) -> tuple[object, str]:
    from l4guide.diagnose import diagnose, read_paste

    diagnosis = diagnose(read_paste(options.file))
    return diagnosis.to_json(options.language), diagnosis.say(options.language)


def _doctor(options: Options) -> tuple[object, str]:
    from l4guide.advise import doctor

    checkup = doctor(options.gpu, question(options))
    return checkup.to_json(options.language), checkup.say(options.language)


def _report(options: Options) -> tuple[object, str]:
    from l4guide.advise import advise
    from l4guide.report import write

    page, data = write(advise(options.gpu, question(options)), Path(options.out), language=options.language)
    said = {"html": str(page), "json": str(data)}
    return said, say("cli.wrote", options.language, **said)


def _measure(options: Options) -> tuple[object, str]:
    from l4guide.measuring import measured, shown, tuned

    def tell(line: str) -> None:
        print(line, file=sys.stderr)

    out, read, earlier = (Path(x) if x else None for x in (options.out, options.read, options.against))
    if options.tune:
        return tuned(out, language=options.language, tell=tell)
    if read is not None:
        return shown(read, earlier=earlier, language=options.language)
    return measured(
        suite="quick" if options.quick else "full",
        out=out,
        resume=options.resume,
        earlier=earlier,
        language=options.language,
        tell=tell,
    )


def _matrix(options: Options) -> tuple[object, str]:
    from l4guide.matrix import (
        HEAD_DIMS,
        as_csv,
        as_markdown,
        as_table,
        support_matrix,
        timeline,
        timeline_table,
    )

    said = question(options)
    options.json = options.json or options.format == "json"
    libraries = options.library.split(",") if options.library else None
    if options.timeline and (options.version is not None or options.format in ("csv", "md")):
        raise BadInput("error.timeline_options")
    if options.timeline:
        spans = timeline(options.gpu, said, libraries)
        return spans.to_json(options.language), timeline_table(spans, options.language)
    wide, task = said.pop("head_dim", None), str(said.pop("task", "training"))
    widths = options.head_dims.split(",") if options.head_dims else [wide] if wide else HEAD_DIMS
    matrix = support_matrix(
        options.gpu.split(","),
        task.split(","),
        said,
        head_dims=widths,
        libraries=libraries,
        version=options.version,
    )
    write = {"csv": as_csv, "md": as_markdown}.get(options.format, as_table)
    return matrix.to_json(options.language), write(matrix, options.language)


def _lab(options: Options) -> tuple[object, str]:
    from l4guide.lab import open_lab

    open_lab(port=options.port, browser=options.browser, language=options.language)


def _add_matrix(parser: argparse.ArgumentParser) -> None:
    add_question(parser)
    parser.add_argument("--head-dims", help="head_dims of the columns, separated by commas")
    parser.add_argument("--library", help="libraries, separated by commas (default: all)")
    parser.add_argument("--version", help="a release of the library, or all (default: the newest)")
    parser.add_argument("--format", choices=("table", "csv", "json", "md"), default="table")
    parser.add_argument("--timeline", action="store_true", help="support by release date, for one head-dim")


def _add_measure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="one minute instead of ten")
    parser.add_argument("--out", metavar="FILE", help="path of the record (default: a new file)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--read", metavar="FILE", help="show a record without measuring")
    parser.add_argument("--against", metavar="FILE", help="compare with an earlier record")
    parser.add_argument("--tune", action="store_true", help="time other tiles instead")


def _add_all(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="print every GPU and every reason")


def _add_advise(parser: Parser) -> None:
    add_question(parser, model=True, price=True, runs=True)
    _add_all(parser)


def _add_support(parser: Parser) -> None:
    add_question(parser)
    _add_all(parser)
    parser.add_argument("--library", default="flash-attn")
    parser.add_argument("--version", help="a release (default: the newest known)")


def _add_resources(parser: Parser) -> None:
    parser.add_argument("--gpu", default="L4")
    parser.add_argument("--kernel", default="forward", help="forward, backward-dkdv, backward-dq or decode")
    parser.add_argument("--head-dim", default="128")
    parser.add_argument("--head-dim-v", help="head_dim of V (default: that of Q and K)")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument(
        "--causal", action=argparse.BooleanOptionalAction, default=True, help="causal mask (default yes)"
    )
    for name in ("block-m", "block-n", "warps", "stages"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--compile", action="store_true", help="compile for the GPU now")


def _add_estimate(parser: Parser) -> None:
    add_question(parser, model=True, price=True, runs=True)
    parser.add_argument(
        "--implementation", help=f"default: {USUAL}; for a whole model the fastest measured one"
    )
    parser.add_argument("--workloads", metavar="IN.csv", help="answer every row of a CSV")
    parser.add_argument("--out", metavar="OUT.csv", help="path of the answered rows")


def _add_cost(parser: Parser) -> None:
    add_question(parser, model=True, price=True, runs=True)
    _add_all(parser)
    parser.add_argument(
        "--implementation", help="the implementation to time (default: the fastest measured one)"
    )
    parser.add_argument(
        "--map", choices=("context", "head_dim"), help="map the cheapest GPU over this and the batch"
    )


def _add_diagnose(parser: Parser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="file with the text (default: standard input)"
    )


def _add_doctor(parser: Parser) -> None:
    add_question(parser, gpu=None)


def _add_report(parser: Parser) -> None:
    add_question(parser, model=True, price=True, runs=True)
    parser.add_argument("--out", default="report.html")


def _add_lab(parser: Parser) -> None:
    parser.add_argument("--port", type=int)
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        help="open a browser (default: if this machine has a screen)",
    )


#: Each command: what answers it, what may be said to it, and what it is.
COMMANDS: Mapping[str, tuple[Callable[[Options], tuple[object, str]], Callable[[Parser], None], str]] = {
    "advise": (_advise, _add_advise, "the whole answer for a workload on a GPU"),
    "support": (_support, _add_support, "whether one release of a library runs a workload on a GPU"),
    "resources": (_resources, _add_resources, "shared memory, registers and occupancy of a kernel on a GPU"),
    "estimate": (_estimate, _add_estimate, "how long one attention call, or one step of a model, takes"),
    "cost": (_cost, _add_cost, "cost per million tokens, of a model or of attention alone"),
    "trace": (_trace, add_trace, "parameters, cache and attention calls of a model as it runs"),
    "diagnose": (_diagnose, _add_diagnose, "explain a traceback, warning or log"),
    "doctor": (_doctor, _add_doctor, "check this machine and its installed libraries"),
    "report": (_report, _add_report, "write the answer as one HTML file, with JSON beside it"),
    "measure": (_measure, _add_measure, "benchmark the kernels and other libraries on the attached GPU"),
    "matrix": (_matrix, _add_matrix, "support matrix: libraries by head_dim"),
    "lab": (_lab, _add_lab, "open JupyterLab on the guide"),
}


def build_parser() -> Parser:
    """All commands and their options."""
    parser = Parser(
        prog="l4guide", description="Which GPU, and which attention implementation, for this workload."
    )
    parser.add_argument("--version", action="version", version=f"l4guide {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, add, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, fill=add)
        command.add_argument("--json", action="store_true", help="print only JSON on stdout")
        command.add_argument("--language", choices=tuple(LANGUAGES), default="en")
        command.set_defaults(run=run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 for success, 2 for bad input, 1 if this machine cannot do it."""
    language = "en"
    try:
        options = build_parser().parse_args(arguments)
        language = options.language
        said, text = options.run(options)
        print(json.dumps(said, indent=2, ensure_ascii=False) if options.json else text)
    except Problem as problem:
        print(f"l4guide: {problem.say(language)}", file=sys.stderr)
        return problem.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print(f"l4guide: {say('error.interrupted', language)}", file=sys.stderr)
        return 1
    return 0
