"""How our variants lay out their inputs: the same numbers in pages, in codes, beside zeros."""

import pytest
import torch

from l4guide.measure.ours import PAGE, VARIANTS, in_pages
from l4guide.measure.peers import PAGED
from l4guide.workload import Workload, ask

PEERS = {peer.name: peer for peer in (*VARIANTS, *PAGED)}


def drawn(**options: object) -> tuple[Workload, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A workload with q, k and v, 2 query heads to a KV head."""
    workload, _ = ask({"batch": 2, "heads": 4, "kv_heads": 2, "head_dim": 24, **options})
    generator = torch.Generator().manual_seed(1)

    def normal(seqlen: int, heads: int) -> torch.Tensor:
        return torch.randn((workload.batch, seqlen, heads, workload.head_dim), generator=generator)

    k, v = (normal(workload.seqlen_kv, workload.kv_heads) for _ in range(2))
    return workload, normal(workload.seqlen_q, workload.heads), k, v


@pytest.mark.parametrize("name", ["l4guide/paged", "flash-attn/paged", "flashinfer/paged"])
def test_pages_hold_the_cache(name: str) -> None:
    """Read through the table, shuffled pages are the cache again, filled up with zeros."""
    workload, q, k, v = drawn(task="decode", seqlen_kv=300)
    same, k_pages, v_pages, table = PEERS[name].laid(workload, q, k, v)
    assert same is q
    for pages, x in ((k_pages, k), (v_pages, v)):
        read = pages[table.long()].flatten(1, 2)
        assert torch.equal(x, read[:, :300])
        assert not read[:, 300:].any()
    assert 0 == k_pages.shape[1] % PAGE
    assert torch.int32 == table.dtype


def test_pages_lie_in_no_order() -> None:
    """A table that counted up would be read as one piece of memory."""
    _, table = in_pages(torch.zeros(2, 320, 1, 8), PAGE)
    assert sorted(table.flatten().tolist()) == list(range(40))
    assert sorted(table.flatten().tolist()) != table.flatten().tolist()


@pytest.mark.parametrize(("kind", "step"), [("int8", 0.5 / 127), ("fp8", 2**-4)])
def test_codes_stand_for_the_cache(kind: str, step: float) -> None:
    """Times its head's factor, a code is its number, to within half a step of the largest or of itself."""
    workload, q, k, v = drawn(task="decode", seqlen_kv=100)
    _, k_codes, v_codes, k_factor, v_factor = PEERS[f"l4guide/kv-{kind}"].laid(workload, q, k, v)
    for codes, factor, x in ((k_codes, k_factor, k), (v_codes, v_factor, v)):
        assert (workload.kv_heads,) == tuple(factor.shape)
        assert 1 == codes.element_size()
        assert (codes.float() * factor[:, None] - x).abs().max() <= step * x.abs().max() * 1.01


@pytest.mark.parametrize(("width", "padded"), [(24, 32), (72, 128), (192, 256)])
def test_padding_goes_up_to_the_next_power_of_two(width: int, padded: int) -> None:
    """Zeros beside each head; a gradient comes back as wide as it was."""
    workload, q, k, v = drawn(task="training", seqlen=8, head_dim=width)
    q.requires_grad_()
    laid = PEERS["l4guide/padded"].laid(workload, q, k, v)
    assert {padded} == {x.shape[-1] for x in laid}
    (gradient,) = torch.autograd.grad(laid[0].sum(), q)
    assert q.shape == gradient.shape
