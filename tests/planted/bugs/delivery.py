"""Delivery: channels, which must miss no commit, and the fan-out, which must hand each to everyone once."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

CHANNELS = "unit/service/test_channel_delivery"
EVERY_COMMIT_ONCE = noticed_by("property/test_fan_out", "test_every_live_follower_gets_every_commit_once")

BUGS = (
    # --- channels -----------------------------------------------------------------------------------------------------
    PlantedBug(
        name="registration after the log read",
        sentence="A commit between the look at the log and the bus is missed.",
        file="service/channels.py",
        old="        self._watch = await bus.watch(dataset_topic(self._tenant, self.dataset), self.on_hint)\n"
        "        read = await self._read(None)\n"
        "        await self._look_who_sees(read)\n"
        "        self._fan_out = FanOut(Mark(read.epoch, read.start), on_pass=self._metrics.delivered)\n",
        new="        read = await self._read(None)\n"
        "        await self._look_who_sees(read)\n"
        "        self._fan_out = FanOut(Mark(read.epoch, read.start), on_pass=self._metrics.delivered)\n"
        "        self._watch = await bus.watch(dataset_topic(self._tenant, self.dataset), self.on_hint)\n",
        selection=noticed_by(
            CHANNELS, "test_a_commit_made_while_the_channel_looks_where_the_dataset_stands_is_not_missed"
        ),
    ),
    PlantedBug(
        name="what rang while a channel was opened is forgotten",
        sentence="It listened, but did not look again.",
        file="service/channels.py",
        old="        if self._look_again:\n            self.read_log()\n",
        new="",
        selection=noticed_by(
            CHANNELS, "test_a_commit_made_while_the_channel_looks_where_the_dataset_stands_is_not_missed"
        ),
    ),
    PlantedBug(
        name="dropped commit",
        sentence="A hint that rings while the log is read is forgotten.",
        file="service/channels.py",
        old="if self._take(read) or self._look_again:",
        new="if self._take(read):",
        selection=noticed_by(CHANNELS, "test_a_hint_that_rings_while_the_log_is_read_is_not_forgotten"),
    ),
    PlantedBug(
        name="a channel reads one page only",
        sentence="What fits into no page is delivered with the next hint, if there is one.",
        file="service/channels.py",
        old="        return page.has_more\n",
        new="        return False\n",
        selection=noticed_by(CHANNELS, "test_what_fits_into_no_page_is_read_to_its_end"),
    ),
    PlantedBug(
        name="a doubled hint is a doubled commit",
        sentence="Hints are held against what was delivered, not against what was taken and still waits.",
        file="service/channels.py",
        old="match feed.on_hint(self._fan_out.taken, hint):",
        new="match feed.on_hint(self._fan_out.mark, hint):",
        selection=noticed_by(CHANNELS, "test_a_large_commit_whose_hint_is_doubled_is_delivered_once"),
    ),
    PlantedBug(
        name="lost hints are never found",
        sentence="The sweep looks only for datasets that are gone.",
        file="service/channels.py",
        old="            if head is not None and Position(head.version) > channel.fan_out.taken.position:\n"
        "                behind = True\n"
        '                self.metrics.bus_gaps["sweep"].inc()\n',
        new="",
        selection=noticed_by(CHANNELS, "test_what_fits_into_no_page_is_read_to_its_end"),
    ),
    PlantedBug(
        name="a channel survives its dataset",
        sentence="Who watches a dataset by its id is never told that it was deleted.",
        file="service/channels.py",
        old="            self.gone = True\n            fan_out.dismiss(fan_out.mark)\n",
        new="",
        selection=noticed_by("unit/service/test_feeds", "test_a_feed_of_an_id_ends_with_its_dataset"),
    ),
    PlantedBug(
        name="a failed read of the log is given up",
        sentence="After a store was away for a moment a dataset's followers hear nothing until the next hint.",
        file="service/channels.py",
        old="                    failures += 1\n                    continue\n",
        new="                    return\n",
        selection=noticed_by("unit/service/test_channels", "test_a_channel_reads_on_after_the_store_was_away"),
    ),
    PlantedBug(
        name="a checkpoint opens another identity's dataset",
        sentence="Who has the checkpoint of a dataset that is followed here gets its changes, whosever it is.",
        file="service/channels.py",
        old="else channel.role_of(viewer.identity)",
        new="else Role.OWNER",
        selection=noticed_by(
            "unit/service/test_feeds",
            "test_a_checkpoint_of_another_identity_s_dataset_leads_nowhere_even_if_it_is_followed_here",
        ),
    ),
    PlantedBug(
        name="a commit of another scope is delivered unseen",
        sentence="Who was removed gets what is committed later, if the hint of the removal was lost.",
        file="service/channels.py",
        old=" and hint.commit.scope == self._access.scope",
        new="",
        selection=noticed_by(
            "unit/service/test_shared_feeds",
            "test_who_was_removed_gets_nothing_that_is_committed_later_although_the_removal_was_rung_by_nobody",
        ),
    ),
    PlantedBug(
        name="the sweep does not look at scopes",
        sentence="A removal whose hint was lost is told with the next commit only.",
        file="service/channels.py",
        old="behind = behind or (head is not None and head.scope != channel.scope)",
        new="behind = behind",
        selection=noticed_by(
            "unit/service/test_shared_feeds", "test_a_removal_that_was_rung_by_nobody_is_told_by_the_sweep"
        ),
    ),
    # --- the fan-out --------------------------------------------------------------------------------------------------
    PlantedBug(
        name="a slow device is taken for served",
        sentence="The commit that a full sink refused is never delivered to it.",
        file="service/fan_out.py",
        old="follower.left_at(commit.previous)",
        new="follower.left_at(commit.position)",
        selection=noticed_by(CHANNELS, "test_a_follower_without_room_is_let_go_where_it_stands"),
    ),
    PlantedBug(
        name="overflow drops",
        sentence="What a full sink refuses is left out, and the next commit is delivered as if nothing were.",
        file="service/fan_out.py",
        old="            self.leave(follower)\n            follower.left_at(commit.previous)\n",
        new="            pass\n",
        selection=noticed_by(CHANNELS, "test_a_follower_without_room_is_let_go_where_it_stands"),
    ),
    PlantedBug(
        name="mark not moved",
        sentence="A fan-out forgets that it delivered a commit, and does it again with the next look at the log.",
        file="service/fan_out.py",
        old="        self.mark = Mark(commits[-1].epoch, commits[-1].position)\n        self.recent.extend(commits)\n",
        new="        self.recent.extend(commits)\n",
        selection=noticed_by(CHANNELS, "test_recent_commits_are_a_chain_that_ends_at_the_mark"),
    ),
    PlantedBug(
        name="who joins during a pass is served by it too",
        sentence="A follower that has read the log up to the mark gets the last commits once more.",
        file="service/fan_out.py",
        old="[follower for follower in members[:room] if follower in self._due]",
        new="members[:room]",
        selection=EVERY_COMMIT_ONCE,
    ),
    PlantedBug(
        name="who is let go during a pass is taken for served",
        sentence="Where a dataset goes in the midst of a pass, some followers lack what the pass carried.",
        file="service/fan_out.py",
        old="follower.left_at(self._begun_at if follower in due else position)",
        new="follower.left_at(position)",
        selection=EVERY_COMMIT_ONCE,
    ),
    PlantedBug(
        name="what waits at the end of a pass is forgotten",
        sentence="A commit that came during a pass is delivered with the next one, if there is one.",
        file="service/fan_out.py",
        old="            self._serving = None\n            self._schedule()\n",
        new="            self._serving = None\n",
        selection=noticed_by(CHANNELS, "test_what_comes_during_a_pass_is_delivered_by_the_next"),
    ),
    PlantedBug(
        name="one follower's fault ends the pass",
        sentence="A subscription that fails to take its event keeps it from all behind it.",
        file="service/fan_out.py",
        old='            except Exception:\n                _log.exception("push_failed", dataset=commit.dataset)\n',
        new="            finally:\n                pass\n",
        selection=noticed_by("property/test_fan_out", "test_a_fault_in_one_followers_push_does_not_reach_the_others"),
    ),
)
