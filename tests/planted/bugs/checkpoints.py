"""Checkpoints: whether the log still leads on from where a device stands, and where that is."""

from __future__ import annotations

from tests.planted.bugs.model import PlantedBug, noticed_by

LEADS_ON = noticed_by("unit/core/test_checkpoint", "test_the_log_leads_on_exactly_if_it_holds_all_that_is_missing")
MACHINE = ("tests/property/test_core_machine.py",)

BUGS = (
    PlantedBug(
        name="pull from one commit too late",
        sentence="The first commit that the device lacks is left out.",
        file="core/checkpoint.py",
        old="return BEGINNING if since is None or since == START else since.position",
        new="return BEGINNING if since is None or since == START else Position(Version(since.position.version + 1))",
        selection=MACHINE,
    ),
    PlantedBug(
        name="pull forgets the place inside a commit",
        sentence="What the device has of a large commit is sent again, for ever.",
        file="core/checkpoint.py",
        old="return BEGINNING if since is None or since == START else since.position",
        new="return BEGINNING if since is None or since == START else Position(since.position.version)",
        selection=MACHINE,
    ),
    PlantedBug(
        name="epoch ignored",
        sentence="A checkpoint of a log that was restored since is taken for one of this log.",
        file="core/checkpoint.py",
        old="return ResyncReason.EPOCH_CHANGED",
        new="pass",
        selection=LEADS_ON,
        quick=True,
    ),
    PlantedBug(
        name="incarnation ignored",
        sentence="A device goes on in a dataset that was deleted and created anew as if it were the old one.",
        file="core/checkpoint.py",
        old="if head is None or since.dataset != head.id:",
        new="if head is None:",
        selection=LEADS_ON,
    ),
    PlantedBug(
        name="checkpoint from the future accepted",
        sentence="A device ahead of a log that lost commits is told that it has everything.",
        file="core/checkpoint.py",
        old="return ResyncReason.CHECKPOINT_FROM_FUTURE",
        new="return None",
        selection=LEADS_ON,
    ),
    PlantedBug(
        name="pruned tombstones ignored",
        sentence="A device that missed removals which are forgotten is not told to resync: they come back to life.",
        file="core/checkpoint.py",
        old="return ResyncReason.CHECKPOINT_TOO_OLD",
        new="return None",
        selection=LEADS_ON,
    ),
    PlantedBug(
        name="a first pull of a pruned dataset never ends",
        sentence="Whoever begins with nothing is told to resync over removals that it never needed.",
        file="core/checkpoint.py",
        old="max(since.position.version, since.position.begun) < head.pruned_through",
        new="since.position.version < head.pruned_through",
        selection=noticed_by(
            "unit/core/test_checkpoint",
            "test_a_device_that_began_with_nothing_needs_no_tombstones_from_before_it_began",
        ),
    ),
    PlantedBug(
        name="a checkpoint forgets where its device began",
        sentence="A device in the midst of its first pull may be told to resync again and again.",
        file="core/pages.py",
        old="position=replace(before(record), begun=begun)",
        new="position=before(record)",
        selection=noticed_by(
            "unit/core/test_pages", "test_who_begins_with_nothing_is_remembered_to_have_until_it_has_read_all"
        ),
    ),
    PlantedBug(
        name="damaged checkpoint accepted",
        sentence="A checkpoint in which a character was changed is taken for another place in the log.",
        file="core/checkpoint.py",
        old="body, check = data[:-4], data[-4:]",
        new='body, check = data[:-4], struct.pack(">I", zlib.crc32(data[:-4]))\n'
        '    text = base64.urlsafe_b64encode(body + check).rstrip(b"=").decode()',
        selection=noticed_by("unit/core/test_checkpoint", "test_a_checkpoint_damaged_in_any_one_character_is_refused"),
    ),
    PlantedBug(
        name="checkpoint in another spelling accepted",
        sentence="One place in the log has several texts, and devices that compare them start over for nothing.",
        file="core/checkpoint.py",
        old="if str(checkpoint) != text:",
        new="if False:",
        selection=noticed_by(
            "unit/core/test_checkpoint", "test_a_checkpoint_in_the_other_alphabet_of_base64_is_refused"
        ),
    ),
)
