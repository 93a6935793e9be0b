"""Reading and writing recorded compiler evidence."""

from pathlib import Path
from typing import Any

import pytest

from l4guide.errors import BadData
from l4guide.resources.record import COLUMNS, by_twin, read, recorded, write
from l4guide.resources.specialisation import Figures, specialise

KERNEL = specialise("forward", head_dim=72, dtype="bf16", arch=89)
OTHER = specialise("backward-dq", head_dim=128, dtype="fp16", arch=80)
LATENT = specialise("forward", head_dim=192, head_dim_v=128, dtype="bf16", arch=89, causal=False)


def figures(shared_bytes: int) -> Figures:
    """Some figures."""
    return Figures(
        basis="recorded",
        shared_bytes=shared_bytes,
        registers=200,
        spill_bytes=0,
        stack_bytes=8,
        triton_version="3.7.1",
        code="0123456789ab",
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Rows survive the file, in an order that does not depend on how they were made."""
    rows = {KERNEL: figures(1024), OTHER: figures(2048), LATENT: figures(4096)}
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write(first, rows)
    write(second, dict(reversed(rows.items())))
    assert rows == read(first)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("one", "other", "same"), [(65, 72, True), (72, 80, False), (120, 97, True), (80, 96, False)]
)
def test_head_dims_of_one_specialisation_share_a_row(one: int, other: int, same: bool) -> None:
    """65 and 72 are both 64+16 with columns beyond the head; 80 fills them, and 96 is 64+32."""
    first, second = (
        specialise("forward", head_dim=head_dim, dtype="bf16", arch=89, tile=KERNEL.tile)
        for head_dim in (one, other)
    )
    assert same == (first == second)


def test_a_value_of_its_own_width_has_a_row_of_its_own() -> None:
    """192 with values of 128 columns is neither of the two, and runs with the tile of the wider."""
    wide = specialise("forward", head_dim=192, dtype="bf16", arch=89, causal=False)
    assert (wide.head_parts, (128, 0), wide.tile) == (LATENT.head_parts, LATENT.head_parts_v, LATENT.tile)
    assert (192, 128) == (LATENT.head_dim, LATENT.head_dim_v)
    assert wide != LATENT


def test_a_twin_tells_the_bytes_and_no_more() -> None:
    """What differs in the mask or the 16-bit type takes the same memory; its registers are its own."""
    known = specialise("forward", head_dim=128, dtype="bf16", arch=80)
    (other,) = (twin for twin in known.twins if (twin.causal, twin.dtype) == (False, "fp16"))
    expected = recorded(known)
    assert expected is not None
    assert Figures(basis="formula", shared_bytes=expected.shared_bytes) == by_twin(other)
    others = {(False, "bf16"), (False, "fp16"), (True, "fp16")}
    assert others == {(twin.causal, twin.dtype) for twin in known.twins}
    single = specialise("forward", head_dim=64, dtype="fp32", arch=89)
    assert [(False, "fp32")] == [(twin.causal, twin.dtype) for twin in single.twins]


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    """A Triton version that nobody recorded is not an error."""
    assert {} == read(tmp_path / "triton-9.9.csv")


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("registers", "", "invalid literal"),
        ("causal", "maybe", "maybe"),
        ("head_parts", "64+x", "invalid literal"),
        ("columns_v", "half", "half"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(tmp_path: Path, column: str, value: str, fault: str) -> None:
    """A damaged cell is refused with its line rather than skipped."""
    path = tmp_path / "triton-3.7.1.csv"
    write(path, {KERNEL: figures(1024)})
    header, row = path.read_text().splitlines()
    cells = dict(zip(COLUMNS, row.split(","), strict=True)) | {column: value}
    path.write_text(f"{header}\n{row}\n{','.join(cells.values())}\n")
    with pytest.raises(BadData, match=r"triton-3\.7\.1\.csv, line 3") as problem:
        read(path)
    assert fault in str(problem.value)


def test_a_row_given_twice_is_refused(tmp_path: Path) -> None:
    """Two answers for one specialisation are one too many."""
    path = tmp_path / "triton-3.7.1.csv"
    write(path, {KERNEL: figures(1024)})
    header, row = path.read_text().splitlines()
    path.write_text(f"{header}\n{row}\n{row}\n")
    with pytest.raises(BadData, match="line 3"):
        read(path)


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    """Evidence is replaced as a whole or not at all."""
    path = tmp_path / "triton-3.7.1.csv"
    write(path, {KERNEL: figures(1024)})
    before = path.read_bytes()
    broken: dict[Any, Any] = {KERNEL: None}
    with pytest.raises(AttributeError):
        write(path, broken)
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
