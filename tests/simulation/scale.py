"""The product's sizes, scaled down to four devices: what takes thousands of records or followers shows with a few."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from syncline.core import feed, pace
from syncline.core.pages import MAX_FEED_PAGE_BYTES, MAX_PAGE_RECORDS, PageRequest
from syncline.service import channels, fan_out, feeds, sync

_A_FEW_RECORDS_BYTES = 60
_A_PASS_SECONDS = 0.02


@contextmanager
def scaled(dice: random.Random) -> Iterator[None]:
    """Each size as it is, or small: pages that end inside commits, slices of one follower, passes that have to wait."""
    page_bytes = dice.choice([MAX_FEED_PAGE_BYTES, MAX_FEED_PAGE_BYTES, _A_FEW_RECORDS_BYTES, 1])
    page_records = dice.choice([MAX_PAGE_RECORDS, MAX_PAGE_RECORDS, 1, 3])
    recent = dice.choice([64, 2])
    slice_size = dice.choice([250, 1])
    paced = dice.random() < 0.3
    with (
        patch.object(channels, "_FEED_PAGE", PageRequest(max_bytes=page_bytes)),
        patch.object(feeds, "MAX_FEED_PAGE_BYTES", page_bytes),
        patch.object(feed, "MAX_FEED_PAGE_BYTES", page_bytes),
        patch.object(sync, "PageRequest", partial(PageRequest, first=page_records)),
        patch.object(fan_out, "_RECENT_COMMITS", recent),
        patch.object(channels, "FanOut", partial(fan_out.FanOut, slice_size=slice_size)),
        patch.object(pace, "_FOLLOWER_SECONDS", _A_PASS_SECONDS if paced else pace._FOLLOWER_SECONDS),
        patch.object(pace, "_CREDIT", 0 if paced else pace._CREDIT),
    ):
        yield
