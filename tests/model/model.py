"""The mailbox as it should be: the simplest thing that can be right."""

import dataclasses


@dataclasses.dataclass
class Message:
    uid: int
    flags: frozenset
    modseq: int
    body: bytes


class Mailbox:
    def __init__(self):
        self.messages = {}  # uid -> Message, in UID order
        self.ever = {}      # uid -> body: what a UID once stood for, for ever
        self.highest_uid = 0
        self.highest_modseq = 0

    def add(self, uid, flags, modseq, body):
        assert uid > self.highest_uid, f"UID {uid} after {self.highest_uid}: UIDs must grow"
        assert uid not in self.ever, f"UID {uid} used twice"
        self.highest_uid = uid
        self.messages[uid] = Message(uid, frozenset(flags), modseq, body)
        self.ever[uid] = body

    def raise_modseq(self, modseq):
        assert modseq > self.highest_modseq, f"modseq {modseq} after {self.highest_modseq}: modseqs must grow"
        self.highest_modseq = modseq

    def change(self, uids, mode, flags):
        """UIDs whose flags really change."""
        changed = []
        for uid in uids:
            message = self.messages.get(uid)
            if message is None:
                continue
            now = {"set": frozenset(flags), "add": message.flags | flags, "remove": message.flags - flags}[mode]
            if now != message.flags:
                message.flags = frozenset(now)
                changed.append(uid)
        return changed

    def remove(self, uids):
        return [uid for uid in uids if self.messages.pop(uid, None)]


class View:
    """What one session has been told: its sequence numbers, and the flags it knows."""

    def __init__(self, mailbox):
        self.mailbox = mailbox
        self.uids = []           # None: announced by EXISTS, not yet fetched
        self.known = {}          # uid -> flags

    def select(self, exists):
        self.uids = sorted(self.mailbox.messages)
        assert exists == len(self.uids), f"SELECT says {exists} EXISTS, the mailbox has {len(self.uids)}"
        self.known = {}

    def expunged(self, number):
        assert 1 <= number <= len(self.uids), f"EXPUNGE {number} of {len(self.uids)}"
        uid = self.uids.pop(number - 1)
        assert uid not in self.mailbox.messages, f"EXPUNGE {number} is UID {uid}, which is still there"
        self.known.pop(uid, None)

    def exists(self, count):
        assert count >= len(self.uids), f"EXISTS {count} takes messages away from {len(self.uids)}"
        last = self.uids[-1] if self.uids else 0
        new = sorted(uid for uid in self.mailbox.ever if uid > last and uid in self.mailbox.messages)
        assert count - len(self.uids) == len(new), \
            f"EXISTS {count} with {len(self.uids)} known, but {len(new)} new messages are there: {new}"
        self.uids += new

    def fetched(self, number, items):
        assert 1 <= number <= len(self.uids), f"FETCH {number} of {len(self.uids)}"
        uid = self.uids[number - 1]
        if "UID" in items:
            assert items["UID"] == uid, f"FETCH {number} says UID {items['UID']}, it is {uid}"
        message = self.mailbox.messages.get(uid)
        if message and "FLAGS" in items:
            flags = items["FLAGS"] - {"\\Recent"}
            assert flags == message.flags, f"UID {uid}: flags {sorted(flags)}, should be {sorted(message.flags)}"
            self.known[uid] = flags
        if message and "MODSEQ" in items:
            message.modseq = message.modseq or items["MODSEQ"]
            assert items["MODSEQ"] == message.modseq, \
                f"UID {uid}: modseq {items['MODSEQ']}, should be {message.modseq}"

    def in_step(self):
        assert self.uids == sorted(self.mailbox.messages), "the session does not see what is there"
