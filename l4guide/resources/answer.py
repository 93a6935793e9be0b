"""What a kernel needs of a chip, answered from the record, the closed formula or the compiler."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from l4guide.catalogue import Gpu
from l4guide.errors import BadInput, CannotDo
from l4guide.frozen import frozen
from l4guide.resources.fixes import PARTS, TRIED, Find, Fix, fits_without_spills, fixes_for, tile_json
from l4guide.resources.mix import Mix
from l4guide.resources.mix_record import recorded_mix
from l4guide.resources.occupancy import occupancy
from l4guide.resources.record import by_twin, recorded
from l4guide.resources.specialisation import Figures, Specialisation, by_formula, specialise
from l4guide.text import say
from l4guide.workload import DTYPES, MAX_HEAD_DIM, one_of, whole_number

if TYPE_CHECKING:
    from l4guide_kernels.tiles import Tile

    from l4guide.resources.compiler import Compiler

#: Smallest and largest value of each part of a tile; blocks and warps are powers of two.
TILE_LIMITS = {"block_m": (16, 256), "block_n": (16, 256), "warps": (1, 16), "stages": (1, 8)}


#: The tile itself, those tried as fixes, and the default tile.
MOST_COMPILED = TRIED + 2


@frozen
class Resources:
    """One kernel with one tile on one card.

    `fits` speaks of the shared memory of one block. `basis` is "compiled", "recorded" or "formula"; the
    formula knows the shared memory alone, so registers, spills and occupancy are None with it. `instructions` are
    those of the inner loop, None where nobody compiled this tile or it does not use the tensor cores.
    """

    kernel: str
    gpu: str
    arch: int
    head_dim: int
    head_dim_v: int
    dtype: str
    causal: bool
    tile: Tile
    shared_bytes: int
    limit_bytes: int
    fits: bool
    registers: int | None
    spill_bytes: int | None
    ctas_per_sm: int | None
    warps_per_sm: int | None
    limiter: str | None
    basis: str
    triton_version: str | None
    fixes: tuple[Fix, ...]
    instructions: Mix | None

    @property
    def kind(self) -> str:
        """A formula is an estimate until the compiler has spoken."""
        return "estimated" if self.basis == "formula" else "compiled"

    def say(self, language: str = "en") -> str:
        """The verdict in one line."""
        key = "resources.fits" if self.fits else "resources.does_not_fit"
        if self.fits and self.spill_bytes:
            key = "resources.fits_but_spills"
        return say(key, language, **{name: getattr(self, name) for name in _SAID}, **tile_json(self.tile))

    def to_json(self) -> dict[str, object]:
        """Plain values; what is unknown is absent."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found |= {
            "tile": tile_json(self.tile),
            "fixes": [fix.to_json() for fix in self.fixes],
            "instructions": self.instructions and self.instructions.to_json(),
            "kind": self.kind,
            "text": self.say(),
        }
        return {name: value for name, value in found.items() if value is not None}


_SAID = ("kernel", "gpu", "head_dim", "dtype", "shared_bytes", "limit_bytes", "spill_bytes")


def resources_for(
    gpu: Gpu,
    kernel: str,
    head_dim: int,
    dtype: str = "bf16",
    *,
    head_dim_v: int | None = None,
    causal: bool = True,
    block_m: int | None = None,
    block_n: int | None = None,
    warps: int | None = None,
    stages: int | None = None,
    compile: bool = False,
    compiler: Compiler | None = None,
    suggest: bool = True,
    before_each: Callable[[], object] | None = None,
) -> Resources:
    """Shared memory, registers, spills and occupancy of one of our kernels on `gpu`.

    Args:
        gpu: the card; nothing is asked of an attached device.
        kernel: forward, backward-dkdv, backward-dq or decode.
        head_dim: columns of a head, 1 to 576.
        dtype: fp16, bf16 or fp32.
        head_dim_v: columns of a value, 1 to 576; `head_dim` when None.
        causal: with a causal mask or without any. Either takes the same shared memory, but other registers.
        block_m: queries in a tile; what is not given comes from the default tile of this kernel and card.
        block_n: keys in a tile.
        warps: warps per block.
        stages: depth of the software pipeline.
        compile: ask Triton's compiler now (seconds) rather than the record or the formula.
        compiler: the process to ask then, for its owner to cancel; None makes one.
        suggest: also look for changes that make a tile fit which does not.
        before_each: called before each tile is compiled, at most `MOST_COMPILED` times.

    Raises:
        BadInput: an argument is malformed or outside its limits.
        CannotDo: these kernels do not serve this card, type or head dim, or the compiler cannot be asked.
    """
    kernel, head_dim, dtype = _checked(gpu, kernel, head_dim, dtype)
    head_dim_v = head_dim if head_dim_v is None else _width("head-dim-v", head_dim_v)
    arch, limit = gpu.arch, gpu.shared_bytes_per_block
    assert arch is not None
    assert limit is not None
    usual = specialise(
        kernel, head_dim=head_dim, head_dim_v=head_dim_v, dtype=dtype, arch=arch, causal=causal
    )
    default, options = usual.tile, {"block_m": block_m, "block_n": block_n, "warps": warps, "stages": stages}
    wanted = replace(usual, tile=replace(default, **_tile_options(**options)))
    if compile:
        from l4guide.resources.compiler import Compiler  # most answers come from the record

        with Compiler() if compiler is None else nullcontext(compiler) as asked:
            figures, fixes = _answers(gpu, wanted, default, _announced(asked.compile, before_each), suggest)
    else:
        figures = _known(wanted)
        fixes = _fixes(gpu, wanted, default, figures, prove=recorded) if suggest else ()
    resident = occupancy(
        gpu, shared_bytes=figures.shared_bytes, registers=figures.registers, warps=wanted.tile.warps
    )
    return Resources(
        kernel=kernel,
        gpu=gpu.name,
        arch=arch,
        head_dim=head_dim,
        head_dim_v=head_dim_v,
        dtype=dtype,
        causal=causal,
        tile=wanted.tile,
        shared_bytes=figures.shared_bytes,
        limit_bytes=limit,
        fits=figures.shared_bytes <= limit,
        registers=figures.registers,
        spill_bytes=figures.spill_bytes,
        ctas_per_sm=resident.ctas_per_sm if resident else None,
        warps_per_sm=resident.warps_per_sm if resident else None,
        limiter=resident.limiter if resident else None,
        basis=figures.basis,
        triton_version=figures.triton_version,
        fixes=fixes,
        instructions=_instructions(wanted, figures),
    )


def _answers(
    gpu: Gpu, wanted: Specialisation, default: Tile, prove: Callable[[Specialisation], Figures], suggest: bool
) -> tuple[Figures, tuple[Fix, ...]]:
    figures = prove(wanted)
    return figures, _fixes(gpu, wanted, default, figures, prove=prove) if suggest else ()


def _announced(
    find: Callable[[Specialisation], Figures], before_each: Callable[[], object] | None
) -> Callable[[Specialisation], Figures]:
    """`find`, which tells `before_each` first."""

    def found(wanted: Specialisation) -> Figures:
        if before_each is not None:
            before_each()
        return find(wanted)

    return found


def _checked(gpu: Gpu, kernel: str, head_dim: int, dtype: str) -> tuple[str, int, str]:
    """The question in canonical form, or the reason why these kernels do not answer it."""
    from l4guide_kernels import tiles

    kernel = one_of("kernel", kernel, tiles.KERNELS)
    head_dim = _width("head-dim", head_dim)
    dtype = one_of("dtype", dtype, DTYPES)
    if dtype not in tiles.DTYPES:
        raise CannotDo("error.kernel_dtype", dtype=dtype, choices=", ".join(tiles.DTYPES))
    if gpu.arch is None:
        raise CannotDo("error.kernel_vendor", gpu=gpu.name, vendor=gpu.vendor)
    if gpu.arch < min(tiles.ARCHS):
        raise CannotDo("error.kernel_no_tensor_cores", gpu=gpu.name, capability=gpu.capability)
    if gpu.arch not in tiles.ARCHS or gpu.shared_bytes_per_block is None:
        known = ", ".join(f"{arch // 10}.{arch % 10}" for arch in tiles.ARCHS)
        raise CannotDo("error.kernel_no_tiles", gpu=gpu.name, capability=gpu.capability, known=known)
    return kernel, head_dim, dtype


def _width(name: str, value: object) -> int:
    """The columns of a head or a value, if these kernels take as many."""
    from l4guide_kernels import tiles

    width, limit = whole_number(name, value, at_most=MAX_HEAD_DIM), tiles.MAX_HEAD_DIM
    if width > limit:
        raise CannotDo("error.kernel_head_dim", name=name.replace("-", "_"), head_dim=width, limit=limit)
    return width


def _tile_options(**given: int | None) -> dict[str, Any]:
    """The parts of the tile that were given, each a power of two (stages: any count) within `TILE_LIMITS`."""
    options = {}
    for name in PARTS:
        if given[name] is None:
            continue
        low, high = TILE_LIMITS[name]
        option = name.replace("_", "-")
        value = whole_number(option, given[name], at_least=low, at_most=high)
        if name != "stages" and value & (value - 1):
            below = 1 << (value.bit_length() - 1)
            raise BadInput("error.not_power_of_two", name=option, value=value, below=below, above=2 * below)
        options[name] = value
    return options


def _cheap(wanted: Specialisation) -> Figures | None:
    return recorded(wanted) or by_formula(wanted) or by_twin(wanted)


def _known(wanted: Specialisation) -> Figures:
    figures = _cheap(wanted)
    if figures is None:
        raise CannotDo("error.needs_compiler", kernel=wanted.kernel, dtype=wanted.dtype)
    return figures


def _instructions(wanted: Specialisation, figures: Figures) -> Mix | None:
    """The inner loop's instructions, of the compiler's code or of the recorded code."""
    if figures.basis == "compiled":
        return figures.instructions
    known = recorded_mix(wanted)
    return None if known is None else known.mix


def _fixes(
    gpu: Gpu, wanted: Specialisation, default: Tile, figures: Figures, *, prove: Find
) -> tuple[Fix, ...]:
    if fits_without_spills(gpu, figures):
        return ()
    return fixes_for(gpu, wanted, default, estimate=_cheap, prove=prove)
