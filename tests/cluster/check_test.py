#!/usr/bin/env python3
"""Damage done in the database behind the server's back: `mallard check` names it, `--repair` mends it, while the server runs.

Two workers serve meanwhile. Where nothing is damaged check finds nothing, also under load: what is on its way is no damage.
"""

import re
import smtplib
import threading
import time
import unittest

from cluster import Cluster, run_cases, servers
from imap_session import ImapSession

USER, PASSWORD = "ann@example.com", "secret-check"
ATTACHMENT = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + \
    (b"QUFB" * 19 + b"\r\n") * 3000


def message(number, attachment=False):
    head = f"From: bob@example.com\r\nSubject: number {number}\r\nMessage-ID: <{number}@check>\r\n".encode()
    if not attachment:
        return head + b"\r\n" + b"Quack.\r\n" * 50
    return head + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nQuack.\r\n--b\r\n" + \
        ATTACHMENT + b"--b--\r\n"


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=2, kind="mongod")
        cls.cluster.__enter__()
        cls.addClassCleanup(cls.cluster.close)
        cls.server = cls.cluster.nodes[0]
        cls.database = servers.database(cls.cluster.mongo.url())
        cls.user = cls.cluster.add_user(USER, PASSWORD)
        for number in range(20):
            cls.deliver(message(number, attachment=number % 4 == 0))

    @classmethod
    def deliver(cls, body):
        with smtplib.LMTP("127.0.0.1", cls.server.lmtp_port) as lmtp:
            lmtp.sendmail("bob@example.com", [USER], body)

    def setUp(self):
        self.inbox = self.database.mailboxes.find_one({"path": "INBOX"})
        self.addCleanup(lambda: self.assertEqual(self.server.check(), []))

    def bodies(self):
        """What a client sees of INBOX: UID to bytes."""
        session = ImapSession(self.server.imap_port, USER, PASSWORD)
        session.command("SELECT INBOX")
        _, _, untagged = session.command("UID FETCH 1:* BODY.PEEK[]")
        session.close()
        return {int(re.search(rb"UID (\d+)", r).group(1)): r.partition(b"\r\n")[2] for r in untagged if b"BODY[]" in r}

    def repairs(self, what):
        """check names that and nothing else, --repair mends it, and nothing is left; no message has changed."""
        before = self.bodies()
        found = self.server.command("check")
        self.assertEqual(found.returncode, 1, found.stdout)
        problem, summary = found.stdout.splitlines()
        self.assertIn(what, problem)
        self.assertIn(": 1 problems; `mallard check --repair`", summary)
        mended = self.server.command("check", "--repair")
        self.assertEqual(mended.returncode, 0, mended.stdout)
        self.assertIn(": 1 problems, 1 repaired", mended.stdout)
        again = self.server.command("check")
        self.assertEqual((again.returncode, "all is well" in again.stdout), (0, True), again.stdout)
        self.assertEqual(self.bodies(), before)

    def storage(self):
        return self.database.users.find_one({"address": USER})["storageUsed"]

    def test_a_storage_counter_that_is_too_high_or_too_low(self):
        right = self.storage()
        for wrong in (12_345, -777, -right, -2 * right):
            self.database.users.update_one({"address": USER}, {"$inc": {"storageUsed": wrong}})
            self.repairs("storage counter of user " + self.user)
            self.assertEqual(self.storage(), right)

    def test_a_quota_that_seems_full_is_free_again(self):
        self.database.users.update_one({"address": USER}, {"$set": {"quota": 100_000_000}, "$inc": {"storageUsed": 10**9}})
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.deliver(message(1))
        self.repairs("storage counter")
        self.deliver(message(1))

    def test_a_mailbox_that_would_give_a_uid_a_second_time(self):
        last = max(self.bodies())
        for field in ("uidNext", "modifyIndex"):
            self.database.mailboxes.update_one({"_id": self.inbox["_id"]}, {"$set": {field: 3}})
            self.repairs(f"mailbox {self.inbox['_id']} counts less than its messages say")
        session = ImapSession(self.server.imap_port, USER, PASSWORD)
        status, text, _ = session.append("INBOX", message(2))
        session.close()
        self.assertEqual(status, "OK")
        self.assertGreater(int(re.search(r"APPENDUID \d+ (\d+)", text).group(1)), last)

    def test_an_attachment_that_would_be_freed_while_messages_use_it(self):
        file = self.database["attachments.files"].find_one()
        self.database["attachments.files"].update_one({"_id": file["_id"]}, {"$set": {"metadata.c": 1, "metadata.m": 1}})
        self.repairs(f"attachment {file['_id'].hex()} is counted less often than it is used")
        self.assertEqual(self.database["attachments.files"].find_one()["metadata"]["c"], file["metadata"]["c"])

    def test_messages_whose_mailbox_is_gone(self):
        """As a deletion leaves them whose process was killed: the sweep takes them, and counts them out."""
        from bson import ObjectId
        stray = self.database.messages.find_one({"mailbox": self.inbox["_id"], "size": {"$lt": 5000}})
        before, gone = self.storage(), ObjectId()
        self.database.messages.insert_one({**stray, "_id": ObjectId(), "mailbox": gone})
        self.database.users.update_one({"address": USER}, {"$inc": {"storageUsed": stray["size"]}})
        self.repairs(f"mailbox {gone} is gone, but messages of it are there")
        end = time.monotonic() + 90  # each minute a process sweeps
        while self.database.messages.count_documents({"mailbox": gone}):
            self.assertLess(time.monotonic(), end, "the sweep left the stray message")
            time.sleep(0.2)
        self.assertEqual(self.storage(), before)

    def test_an_attachment_that_is_lost_cannot_be_repaired(self):
        file = self.database["attachments.files"].find_one()
        self.database["attachments.files"].delete_one({"_id": file["_id"]})
        try:
            done = self.server.command("check", "--repair")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"attachment {file['_id'].hex()} is missing; messages use it", done.stdout)
            self.assertIn("1 problems, 0 repaired", done.stdout)
        finally:
            self.database["attachments.files"].insert_one(file)

    def test_what_is_on_its_way_is_no_damage(self):
        stop, failures = threading.Event(), []

        def come_and_go(number):
            try:
                session = ImapSession(self.server.imap_port, USER, PASSWORD)
                session.command("SELECT INBOX")
                while not stop.is_set():
                    number += 10
                    uid = re.search(r"APPENDUID \d+ (\d+)", session.append("INBOX", message(number, number % 20 < 10))[1]).group(1)
                    session.command(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
                    session.command(f"UID EXPUNGE {uid}")
                session.close()
            except Exception as error:  # noqa: BLE001: whatever it is, the test names it
                failures.append(repr(error))

        threads = [threading.Thread(target=come_and_go, args=(1000 + n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(4):
                done = self.server.command("check", "--repair")
                self.assertIn("all is well", done.stdout)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    run_cases(servers.mongod, servers.import_pymongo)
