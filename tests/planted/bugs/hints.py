"""Hints: what a channel makes of what the bus says, and how a follower becomes a live one."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

FEED = "property/test_core_feed"
WHATEVER_HAPPENS = noticed_by(
    FEED, "test_whatever_happens_to_hints_followers_get_the_commits_in_order_without_gap_or_double"
)
ONLY_WHAT_FOLLOWS = noticed_by(FEED, "test_a_hint_is_delivered_only_if_it_follows_directly_and_is_whole")
JUNK = noticed_by("unit/core/test_feed", "test_all_else_junk_included_is_a_reason_to_read_the_log")
READS_ON = noticed_by(
    FEED, "test_one_who_reads_on_costs_a_pointer_and_gets_the_rest_from_what_is_at_hand_or_from_the_log"
)
JOINED = noticed_by(FEED, "test_joined_commits_lead_to_the_same_state_in_the_same_order")

BUGS = (
    PlantedBug(
        name="hint gap ignored",
        sentence="A commit is delivered although the one before it never came.",
        file="core/feed.py",
        old="        and Position(hint.previous) == mark.position\n"
        "        and hint.commit is not None\n"
        "        and hint.commit.dataset == hint.dataset\n"
        "        and hint.commit.epoch == mark.epoch\n"
        "        and hint.commit.previous == mark.position\n",
        new="        and Position(hint.previous) >= mark.position\n"
        "        and hint.commit is not None\n"
        "        and hint.commit.dataset == hint.dataset\n"
        "        and hint.commit.epoch == mark.epoch\n",
        selection=JUNK,
        quick=True,
    ),
    PlantedBug(
        name="junk hint believed",
        sentence="A hint that contradicts its own commit is delivered.",
        file="core/feed.py",
        old="        and hint.commit.position == Position(hint.version)\n",
        new="",
        selection=ONLY_WHAT_FOLLOWS,
    ),
    PlantedBug(
        name="hint of another epoch believed",
        sentence="A commit of a log that is no more is delivered into this one.",
        file="core/feed.py",
        old="        and hint.commit.epoch == mark.epoch\n",
        new="",
        selection=ONLY_WHAT_FOLLOWS,
    ),
    PlantedBug(
        name="hint with a commit of another dataset believed",
        sentence="Records of one dataset are delivered as those of another one.",
        file="core/feed.py",
        old="        and hint.commit.dataset == hint.dataset\n",
        new="",
        selection=JUNK,
    ),
    PlantedBug(
        name="a hint from ahead is ignored",
        sentence="Where a hint was lost, the one after it is no reason to look.",
        file="core/feed.py",
        old="    return OnHint.READ_LOG\n",
        new="    return OnHint.IGNORE\n",
        selection=ONLY_WHAT_FOLLOWS,
    ),
    PlantedBug(
        name="join although ahead",
        sentence="A follower that has read further than the channel goes live, and gets what it has once more.",
        file="core/feed.py",
        old="    if position > mark.position:\n        return Follow.WAIT_FOR_CHANNEL\n",
        new="    if position > mark.position:\n        return Follow.JOIN\n",
        selection=READS_ON,
    ),
    PlantedBug(
        name="join although behind",
        sentence="A follower goes live before it has what it missed.",
        file="core/feed.py",
        old="    if position == mark.position and",
        new="    if position <= mark.position and",
        selection=READS_ON,
    ),
    PlantedBug(
        name="replay from the middle",
        sentence="A follower that lacks more than what is at hand is given only that.",
        file="core/feed.py",
        old="if any(commit.previous == position and _same_text(commit.previous, position) for commit in recent):",
        new="if recent:",
        selection=READS_ON,
    ),
    PlantedBug(
        name="replay of recent commits begins one late",
        sentence="The first commit that a follower lacks is left out.",
        file="core/feed.py",
        old="if commit.position > position]",
        new="if commit.previous > position]",
        selection=READS_ON,
    ),
    PlantedBug(
        name="doubled commit",
        sentence="A follower gets a commit again that it has.",
        file="core/feed.py",
        old="if commit.position > position]",
        new="if commit.position >= position]",
        selection=WHATEVER_HAPPENS,
    ),
    PlantedBug(
        name="reordered commits",
        sentence="What a follower lacks comes latest first.",
        file="core/feed.py",
        old="for commit in recent if commit.position",
        new="for commit in reversed(recent) if commit.position",
        selection=READS_ON,
    ),
    PlantedBug(
        name="joined commits begin at the last one",
        sentence="A device that compares checkpoints finds a gap where there is none, and starts over.",
        file="core/feed.py",
        old="return replace(commits[-1], previous=commits[0].previous, author=",
        new="return replace(commits[-1], author=",
        selection=JOINED,
    ),
    PlantedBug(
        name="joined commits keep the first state",
        sentence="Of a record that was written twice within one event the device gets the older state.",
        file="core/feed.py",
        old="            latest.pop(record.key, None)\n            latest[record.key] = record\n",
        new="            latest.setdefault(record.key, record)\n",
        selection=JOINED,
    ),
    PlantedBug(
        name="joined commits are larger than a page",
        sentence="A device is sent an event that is larger than it was told to expect.",
        file="core/feed.py",
        old="if run and (size + more_bytes > MAX_FEED_PAGE_BYTES or count + more > MAX_PAGE_RECORDS):",
        new="if False:",
        selection=noticed_by(FEED, "test_joined_commits_are_no_larger_than_a_page"),
    ),
)
