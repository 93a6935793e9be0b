"""What must hold for every machine whose name stands for its cards."""

import re

import pytest

from l4guide.catalogue import Instance, all_prices, instances, plain

EVERY = pytest.mark.parametrize("machine", instances(), ids=lambda machine: machine.instance)


@EVERY
def test_a_machine_has_cards_or_a_part_of_one(machine: Instance) -> None:
    """Counts are those of one machine, and a part is a fraction of one card."""
    assert machine.count in {1, 2, 4, 8, 16}
    assert re.fullmatch(r"1/\d|", machine.part)
    assert not machine.part or machine.count == 1


@EVERY
def test_a_number_in_the_name_is_the_count(machine: Instance) -> None:
    """Where a provider writes the number of cards into a name, it is the count."""
    for pattern in (r"gpu_(\d)x_", r"-(\d+)g$", r"\.(\d)$", r"^L?\w+-(\d)-\d+G$"):
        if (found := re.search(pattern, machine.instance)) is not None:
            assert machine.count == int(found[1])


def test_names_are_distinct_when_compared() -> None:
    """No two machines read alike."""
    names = [plain(machine.instance) for machine in instances()]
    assert len(names) == len(set(names))


def test_prices_agree_on_the_card() -> None:
    """A machine that has a price has the same card and count there."""
    known = {machine.instance: machine for machine in instances()}
    shared = [price for price in all_prices() if price.instance in known]
    assert shared
    for price in shared:
        assert (price.gpu, price.gpus_per_instance) == (
            known[price.instance].gpu,
            known[price.instance].count,
        )
