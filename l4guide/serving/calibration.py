"""What serving adds to the counted steps: `data/calibration/serving.toml`, fitted on public measurements."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from l4guide.catalogue import data_folder
from l4guide.errors import BadData
from l4guide.frozen import frozen
from l4guide.toml import read_toml


@frozen
class Factors:
    """What multiplies the counted parts of a step, and what the host takes, in seconds.

    `products` and `attention` are of sequences that write, `prompt` of prompts beside them. `step_s` prepares a step,
    `sequence_s` each sequence in it with its token on the way to the user, `request_s` a request; `launch_s` launches a
    layer without CUDA graphs. `reread` prompts are read again for each that ends once the cache is full. `pcie`
    multiplies what links without NVLink take.
    """

    products: float
    attention: float
    prompt: float
    step_s: float
    sequence_s: float
    launch_s: float
    request_s: float
    reread: float
    pcie: float


@frozen
class Spread:
    """Ends of the 80 % interval over the middle."""

    low: float
    high: float


@cache
def _tables() -> Mapping[str, Any]:
    path = data_folder() / "calibration" / "serving.toml"
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        raise BadData("error.bad_calibration", file=path.name, problem=str(error)) from error


@cache
def factors(engine: str) -> Factors:
    """The factors of an engine.

    Raises:
        BadData: the file is missing or broken.
    """
    tables = _tables()
    try:
        return Factors(**(tables["factors"] | tables.get(engine, {})))
    except (KeyError, TypeError) as error:
        raise BadData("error.bad_calibration", file="serving.toml", problem=str(error)) from error


@cache
def spread(of: str) -> Spread:
    """How far measured `throughput`, `ttft` and `tpot` lie from what is predicted of servers left out of the fit.

    Raises:
        BadData: the file is missing or broken.
    """
    try:
        return Spread(**_tables()["spread"][of])
    except (KeyError, TypeError) as error:
        raise BadData("error.bad_calibration", file="serving.toml", problem=str(error)) from error
