"""The table of figures and the code name the same."""

from __future__ import annotations

from syncline.metrics import Metrics
from tests.support.documents import ROOT, prose
from tests.test_docs_errors import OPERATIONS, rows, words

HEADING = "## What to watch"


def test_the_table_has_exactly_the_figures_of_the_code() -> None:
    documented = [words(row[0])[0] for row in rows(OPERATIONS, HEADING)]
    families = Metrics().registry.collect()
    assert sorted(documented) == sorted(
        f"{family.name}_total" if family.type == "counter" else family.name for family in families
    )


def test_every_label_and_each_of_its_values_is_documented() -> None:
    documented = {word for row in rows(OPERATIONS, HEADING) for word in words(row[1])}
    limits = {limit for row in rows(OPERATIONS, "### Limits") for limit in words(row[0])}
    labels = {
        word
        for family in Metrics().registry.collect()
        for sample in family.samples
        for label, value in sample.labels.items()
        if label != "le"
        for word in (label, value)
        if word
    }
    assert labels <= documented | limits


def test_every_figure_says_when_to_worry_or_belongs_to_one_that_does() -> None:
    without = [words(row[0])[0] for row in rows(OPERATIONS, HEADING) if len(row) < 3 or not row[2].strip("| ")]
    assert without == ["syncline_store_pool_size"]


def test_the_readme_leads_to_the_table() -> None:
    assert "docs/operations.md#what-to-watch" in prose(ROOT / "README.md")
