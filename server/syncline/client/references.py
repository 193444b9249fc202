"""How datasets are told apart here and named to the server: one's own by name, those of others by id."""

from __future__ import annotations

from syncline.core.ids import DatasetName, dataset_id

_MARK = "#"
"""No dataset's name has it."""


def shared_name(text: str) -> DatasetName:
    """What a dataset goes by here that the server knows by the id ``text``. Raises InvalidInput."""
    return DatasetName(f"{_MARK}{dataset_id(text)}")


def reference(name: DatasetName) -> dict[str, str]:
    """The ``DatasetRef`` for what goes by this name here."""
    return {"id": name[len(_MARK) :]} if name.startswith(_MARK) else {"name": name}
