"""Feeds: what one subscription is told, in which order, of which datasets."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

FEEDS = "unit/service/test_feeds"
RACES = "unit/service/test_feed_races"
IDENTITY = noticed_by(FEEDS, "test_an_identity_that_was_away_gets_what_it_missed_of_every_dataset")

BUGS = (
    # --- one dataset --------------------------------------------------------------------------------------------------
    PlantedBug(
        name="no Ready",
        sentence="A subscription of a dataset that is there does not say that it is live.",
        file="service/dataset_feed.py",
        old="        await self._send(\n            Ready(\n                checkpoint=START if cursor",
        new="        (\n            Ready(\n                checkpoint=START if cursor",
        selection=noticed_by(FEEDS, "test_without_since_a_feed_begins_now"),
    ),
    PlantedBug(
        name="Ready says resumed before a resync",
        sentence="A device that has to start over is told that it goes on.",
        file="service/dataset_feed.py",
        old="resumed=self._since is not None and read.reason is None",
        new="resumed=self._since is not None",
        selection=noticed_by(FEEDS, "test_a_checkpoint_of_another_epoch_is_told_to_resync_and_gets_everything"),
    ),
    PlantedBug(
        name="a feed begins where the dataset stands",
        sentence="A device that was away gets what happens from now on, and nothing of what it missed.",
        file="service/dataset_feed.py",
        old="await self._look(self._ref, self._since)\n        self._found = None\n",
        new="await self._look(self._ref, None)\n        self._found = None\n",
        selection=noticed_by(FEEDS, "test_a_device_that_was_away_gets_exactly_what_it_missed"),
    ),
    PlantedBug(
        name="removals forgotten under a feed that reads",
        sentence="A slow device is not told that removals which it lacks are pruned: it keeps the records for ever.",
        file="service/feeds.py",
        old="if read.reason is not None:",
        new="if False:",
        selection=noticed_by(RACES, "test_who_did_not_hear_of_a_removal_before_it_was_forgotten_is_told_to_resync"),
    ),
    PlantedBug(
        name="a feed skips the page that its sink waited for",
        sentence="A device that takes a page slowly goes on behind what the channel delivered meanwhile.",
        file="service/feeds.py",
        old="        cursor.position = page.position\n",
        new="        cursor.position = cursor.channel.fan_out.mark.position\n",
        selection=noticed_by(RACES, "test_what_others_write_while_a_page_is_taken_comes_after_it"),
    ),
    PlantedBug(
        name="feeds with different filters share an encoding",
        sentence="A device that asked for some keys gets what another one asked for.",
        file="service/feeds.py",
        old="self.group = (cohort, self.record_filter)",
        new="self.group = cohort",
        selection=noticed_by(RACES, "test_feeds_of_one_cohort_get_each_what_its_own_filter_lets_through"),
    ),
    PlantedBug(
        name="a deleted dataset is not told",
        sentence="A device keeps what everybody else has lost.",
        file="service/feeds.py",
        old="        await self._send(\n            DatasetDeleted(dataset=cursor.head.id, name=cursor.head.name)\n",
        new="        _ = (\n            DatasetDeleted(dataset=cursor.head.id, name=cursor.head.name)\n",
        selection=noticed_by(FEEDS, "test_a_deleted_dataset_is_told_even_when_a_new_one_has_its_name"),
    ),
    PlantedBug(
        name="a dataset created while its feed opens is missed",
        sentence="The feed looked whether it is there first, and listened then.",
        file="service/dataset_feed.py",
        old="            await self._watch_membership()\n",
        new="            self._found = await self._look(self._ref, self._since)\n"
        "            await self._watch_membership()\n",
        selection=noticed_by(RACES, "test_a_dataset_created_while_its_feed_looks_for_it_is_not_missed"),
    ),
    # --- all datasets of an identity ----------------------------------------------------------------------------------
    PlantedBug(
        name="an identity's feed forgets a dataset",
        sentence="Of several datasets that a device was away from one is not followed.",
        file="service/identity_feed.py",
        old="        for standing in standings:\n            await self._begin(standing",
        new="        for standing in standings[1:]:\n            await self._begin(standing",
        selection=IDENTITY,
    ),
    PlantedBug(
        name="an identity's feed follows no new dataset",
        sentence="What is created while a device watches reaches it with the next connection.",
        file="service/identity_feed.py",
        old="                await self._begin(standing, epoch, None)\n",
        new="                pass\n",
        selection=noticed_by(FEEDS, "test_an_identity_is_told_of_new_changed_and_deleted_datasets"),
    ),
    PlantedBug(
        name="deletions while away are not told",
        sentence="A device keeps a dataset that was deleted while it was away.",
        file="service/identity_feed.py",
        old="        await self._tell_of_missing(missing)\n",
        new="",
        selection=IDENTITY,
    ),
    PlantedBug(
        name="Ready is not the first event",
        sentence="A device gets what it missed before it knows what the server took its checkpoints for.",
        file="service/identity_feed.py",
        old="        await self._send(Ready(checkpoint=START, resumed=True))\n"
        "        await self._tell_of_missing(missing)\n",
        new="        await self._tell_of_missing(missing)\n"
        "        await self._send(Ready(checkpoint=START, resumed=True))\n",
        selection=IDENTITY,
    ),
    PlantedBug(
        name="a dataset created while an identity's feed opens is missed",
        sentence="The feed listed the datasets first, and listened then.",
        file="service/identity_feed.py",
        old="        await self._watch_membership()\n"
        "        epoch = await self._store.epoch()\n"
        "        standings = await self._standings()\n",
        new="        epoch = await self._store.epoch()\n"
        "        standings = await self._standings()\n"
        "        await self._watch_membership()\n",
        selection=noticed_by(RACES, "test_a_dataset_created_while_an_identity_s_feed_lists_them_is_not_missed"),
    ),
)
