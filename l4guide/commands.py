"""What each command answers: from the options that were said to what is printed, as JSON and as text."""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l4guide import options as says
from l4guide.errors import BadInput, CannotDo
from l4guide.files import write_text
from l4guide.options import USUAL, question
from l4guide.text import Sentence, say

Options = argparse.Namespace


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
    from l4guide.advise.asked import asked
    from l4guide.resources import resources_for
    from l4guide.workload import whole_number

    gpu = asked(options.gpu, question(options)).gpu
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
        memory = memory_json(whole.memory, whole.cards, options.language)
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


def _plan(options: Options) -> tuple[object, str]:
    from l4guide.advise.plan import plan_answer
    from l4guide.planning import of_plan

    answer = plan_answer(options.gpu, question(options))
    screen = of_plan(answer, every=options.all)
    return answer.to_json(options.language), screen.say(options.language, every=options.all)


def _trace(options: Options) -> tuple[object, str]:
    from l4guide.tracing import described

    return described(vars(options), options.language)


def _diagnose(options: Options) -> tuple[object, str]:
    from l4guide.diagnose import diagnose, read_paste

    diagnosis = diagnose(read_paste(options.file, echo=not (options.json or options.quiet)))
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


#: Each command: what answers it, what may be said to it, and what it is.
COMMANDS: Mapping[
    str, tuple[Callable[[Options], tuple[object, str]], Callable[[argparse.ArgumentParser], None], str]
] = {
    "advise": (_advise, says.add_advise, "the whole answer for a workload on a GPU"),
    "support": (_support, says.add_support, "whether one release of a library runs a workload on a GPU"),
    "resources": (
        _resources,
        says.add_resources,
        "shared memory, registers and occupancy of a kernel on a GPU",
    ),
    "estimate": (_estimate, says.add_estimate, "how long one attention call, or one step of a model, takes"),
    "cost": (_cost, says.add_cost, "cost per million tokens, of a model or of attention alone"),
    "plan": (_plan, says.add_plan, "a server under load: how many GPUs, how fast, and for how much a month"),
    "trace": (_trace, says.add_trace, "parameters, cache and attention calls of a model as it runs"),
    "diagnose": (_diagnose, says.add_diagnose, "explain a traceback, warning or log"),
    "doctor": (_doctor, says.add_doctor, "check this machine and its installed libraries"),
    "report": (_report, says.add_report, "write the answer as one HTML file, with JSON beside it"),
    "measure": (_measure, says.add_measure, "benchmark the kernels and other libraries on the attached GPU"),
    "matrix": (_matrix, says.add_matrix, "support matrix: libraries by head_dim"),
    "lab": (_lab, says.add_lab, "open JupyterLab on the guide"),
}
