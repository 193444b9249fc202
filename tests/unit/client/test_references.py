"""How the client tells datasets apart."""

from __future__ import annotations

import pytest

from syncline.client.references import reference, shared_name
from syncline.core.ids import dataset_name
from syncline.errors import InvalidInput


def test_an_own_dataset_is_named_and_a_shared_one_goes_by_its_id() -> None:
    assert reference(dataset_name("notes")) == {"name": "notes"}
    assert reference(shared_name("0" * 32)) == {"id": "0" * 32}


def test_what_a_shared_dataset_goes_by_is_no_dataset_s_name() -> None:
    with pytest.raises(InvalidInput):
        dataset_name(shared_name("0" * 32))


@pytest.mark.parametrize("text", ["", "notes", "0" * 31, "0" * 33, "A" * 32])
def test_what_is_no_id_opens_nothing(text: str) -> None:
    with pytest.raises(InvalidInput):
        shared_name(text)
