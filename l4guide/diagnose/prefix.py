"""What loggers, launchers, containers, quotations and test runners put before each line of a log."""

import re
from collections.abc import Sequence

#: More are never seen before one line: a container's, a launcher's, a process's and a logger's.
MOST_PREFIXES = 6
LEVEL = r"(?P<level{n}>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)"
DAY = r"(?:\d{4}[-/]\d\d[-/]\d\d|\d\d[-/]\d\d(?:[-/]\d\d)?)"
CLOCK = r"\d\d:\d\d:\d\d[.,\d]{0,10}(?:Z|[+-]\d\d:?\d\d)?"
PLACE = r"\[?[\w./\-]{1,100}\.(?:py|cpp|cc|cu|h):\d{1,6}(?::\w{1,60})?\]"
#: Each is tried at the beginning of what is left of the line. `process` names whose output it is, `level` how grave.
KINDS = (
    # torchrun, mpirun
    r"\[(?P<process0>(?:rank|default)\d{1,5})\]:",
    r"\[(?P<process1>\d{1,4},\d{1,4})\]<\w{1,10}>:?",
    # Ray and vLLM: (RayWorkerWrapper pid=812, ip=10.0.0.3), also where a colour has lost its escape
    r"(?:\[\d{1,2}m)?\((?P<process2>[\w.:\-]{1,80}(?:[ ,]{1,2}[\w=.:\-]{1,60}){0,5} ?pid=\d{1,9}[^()\n]{0,60})\)"
    r"(?:\[\d{1,2}m)?",
    # vLLM, DeepSpeed, llama.cpp: LEVEL 11-30 12:00:00 [core.py:867], LEVEL worker.py:267]
    rf"\[?{LEVEL.format(n=0)}\]?(?: {DAY})?(?: {CLOCK})? {PLACE}",
    rf"{LEVEL.format(n=1)} {DAY} {CLOCK}(?: \[[^\]\n]{{1,120}}\])?",
    # logging's default, uvicorn's, loguru's, and what stands between dashes
    rf"{LEVEL.format(n=2)}:(?:[\w.\-]{{1,60}}:| {{1,8}})",
    rf"[-|] (?:[\w.\-]{{1,60}} [-|] )?{LEVEL.format(n=3)} {{0,8}}[-|](?: [\w.:<>\-]{{1,120}} [-|])?",
    rf"(?:\[[\w.\-]{{1,40}}\])?\[{LEVEL.format(n=4)}\](?: {PLACE})?",
    # glog, as torch's C++ and torch._logging write it
    rf"\[?(?P<glog>[IWEF])\d{{3,4}} {CLOCK} (?:\d{{1,9}} )?[\w./\-]{{1,99}}:\d{{1,6}}\](?: \[[^\]\n]{{1,40}}\]){{0,3}}",
    # a time, with the process that SGLang writes beside it
    rf"\[?{DAY}[ T|]{CLOCK}(?: (?P<process3>[A-Z]{{2}}\d{{1,3}}(?: [A-Z]{{2}}\d{{1,3}}){{0,3}}))?\]?:?",
    rf"\[{CLOCK}\]|{CLOCK}(?= )",
    # systemd and syslog; docker compose and kubectl
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.\-]{1,60} [\w.\-@/]{1,60}(?:\[\d{1,9}\])?:",
    r"(?P<process4>[\w.\-]{1,60}) {0,30}\|(?= |$)",
    # kubectl, srun
    r"\[(?P<process5>pod/[\w./\-]{1,160})\]|(?P<process6>\d{1,4}):(?= )",
    # pytest, mail, diff
    r"E  (?= )|>(?= |$)|stderr:|stdout:",
)
#: Of a paste whose lines all begin alike, so many tell what they begin with.
SAMPLED_LINES = 200
#: A traceback that was joined into one line, or quoted in JSON.
JOINED = re.compile(r"\S.{0,4000}?File \"[^\"]{1,400}\", line \d{1,7}, in \S{1,200} {1,8}\S", re.DOTALL)
BREAKS = (
    (re.compile(r" {1,8}(?=File \"[^\"]{1,400}\", line \d)"), "\n  "),
    (re.compile(r"(, line \d{1,7}, in [\w.<>]{1,200}) {1,8}(?=\S)"), r"\1\n    "),
    (re.compile(r" (?=(?:[A-Za-z_]\w{0,60}\.){0,6}[A-Z]\w{2,60}(?:Error|Exception): )"), "\n"),
)
PREFIX = re.compile(rf"[ \t]*(?:{'|'.join(KINDS)})[ \t]?")
GLOG = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "FATAL"}


def common_start(lines: Sequence[str]) -> str:
    """What every line of a paste begins with, such as a program that marks its output; empty for fewer than three."""
    sample = [line for line in lines[:SAMPLED_LINES] if line.strip()]
    if len(sample) < 3:
        return ""
    # What the first and the last of them in order share, all share.
    first, last = min(sample), max(sample)
    differ = (n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    start = first[: next(differ, min(len(first), len(last)))]
    return start[: start.rfind(" ") + 1] if start.strip() else ""


def parted(line: str) -> list[str]:
    """The lines that were joined into one; the line itself where none were."""
    if "Traceback (most recent call last)" in line and "\\n" in line:
        line = line.replace("\\n", "\n").replace('\\"', '"')
    elif 'File "' in line and JOINED.search(line[:20_000]):
        for pattern, broken in BREAKS:
            line = pattern.sub(broken, line)
    return line.split("\n")


def unprefixed(line: str) -> tuple[str, str, str]:
    """A line without what was put before it, whose output it is, and the level that its logger gave it."""
    stream, level = "", ""
    for _ in range(MOST_PREFIXES):
        found = PREFIX.match(line)
        if found is None or found.end() == 0:
            break
        named = found.groupdict()
        stream = next(
            (f"{stream}{key}" for name, key in named.items() if key and name[:7] == "process"), stream
        )
        level = next((key for name, key in named.items() if key and name[:5] == "level"), level)
        if named["glog"]:
            level = GLOG[named["glog"]]
        line = line[found.end() :]
    return line, stream, level
