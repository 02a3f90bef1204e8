#!/usr/bin/env python3
"""`mallard migrate` as an operator and the clients see it: online, with LMTP, IMAP and REST going on, with kill -9 in the
middle; then everything is there once, with the same UIDVALIDITY, UIDs, flags, modseqs, dates, bytes, passwords, tokens.

    migrate_test.py             from one data directory to another
    migrate_test.py --cluster   to MongoDB and back; under tests/mongo/with-servers"""

import hashlib
import imaplib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

CLUSTER = "--cluster" in sys.argv
sys.argv = [word for word in sys.argv if word != "--cluster"]
os.environ["MALLARD_TEST_ENGINE"] = "cluster" if CLUSTER else "embedded"
if CLUSTER and not (os.environ.get("MALLARD_TEST_MONGO_URL") and os.environ.get("MALLARD_TEST_REDIS_URL")):
    print("migrate_test: skipped: run it under tests/mongo/with-servers")
    sys.exit(77)

from common import BINARY, PASSWORD, MallardServer, cases, clean_environment, message  # noqa: E402
from mallard_server import own_store  # noqa: E402
from migrate_load import Mta, Person, Place, Program, login  # noqa: E402

ANN, BOB, CLEO, DORA, EVE = (f"{name}@example.com" for name in ("ann", "bob", "cleo", "dora", "eve"))


def mailbox_as_seen(client, mailbox):
    """Everything of a mailbox that a client can ask for."""
    client.untagged_responses.clear()
    status, _ = client._simple_command("SELECT", f'"{mailbox}"', "(CONDSTORE)")
    assert status == "OK", mailbox
    client.state = "SELECTED"
    marks = {name: client.response(name)[1][0].decode() for name in ("UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ")}
    messages = {}
    _, found = client.uid("FETCH", "1:*", "(FLAGS MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
    text = ""
    for part in found:
        text += "".join(piece.decode("latin-1") for piece in part) if isinstance(part, tuple) else (part or b"").decode()
        if isinstance(part, tuple) or not text:
            continue  # a literal: the line goes on
        flags = sorted(flag for flag in re.search(r"FLAGS \(([^)]*)\)", text)[1].split() if flag != "\\Recent")
        rest = re.sub(r"^\d+ |FLAGS \([^)]*\) ?", "", text)
        messages[int(re.search(r"UID (\d+)", text)[1])] = (flags, hashlib.sha256(rest.encode()).hexdigest())
        text = ""
    return marks, messages


def user_as_seen(server, user):
    client = login(server, user)
    out = {}
    for line in client.list()[1]:
        name = re.search(r'"([^"]*)"$|(\S+)$', line.decode())
        name = name[1] or name[2]
        out[name] = mailbox_as_seen(client, name)
    out["subscribed"] = sorted(client.lsub()[1])
    client.logout()
    return out


def changed_since(server, user, modseq):
    """What a CONDSTORE client that knows so much is told (RFC 7162 §3.1.4.1): UIDs whose flags changed."""
    client = login(server, user)
    client.select("INBOX", readonly=True)
    client.untagged_responses.clear()
    status, _ = client._simple_command("UID", "FETCH", "1:*", "(FLAGS)", f"(CHANGEDSINCE {modseq})")
    assert status == "OK"
    told = {int(re.search(rb"UID (\d+)", line)[1]) for line in client.untagged_responses.get("FETCH", [])}
    client.logout()
    return told


class Migrate(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mallard-migrate-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.dbs = own_store() if CLUSTER else {}

    def server(self, name, settings=None):
        server = MallardServer(data=self.folder / name, store=settings or {"store": "embedded"})
        self.addCleanup(server.kill)
        return server

    def arguments(self, source, target, data, *more):
        sets = [word for key, value in self.dbs.items() if key != "store" for word in ("--set", f"{key}={value}")]
        return [str(BINARY), "migrate", "--from", source, "--to", target, "--data", str(data), *sets, *more]

    def migrate(self, *arguments, status=0):
        done = subprocess.run(self.arguments(*arguments), text=True, capture_output=True, timeout=300,
                              env=clean_environment())
        print(done.stdout + done.stderr, flush=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def break_off(self, *arguments, after, kill):
        """The tool is started, and after so many seconds it, or who else is told, is killed with -9."""
        process = subprocess.Popen(self.arguments(*arguments), env=clean_environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        time.sleep(after)
        (kill or process.kill)()
        process.communicate(timeout=60)
        return process.returncode

    def fill(self, server):
        for user in (ANN, BOB, CLEO, DORA, EVE):
            server.add_user(user, PASSWORD)
            client = login(server, user)
            client.create("Archive")
            for n in range(6):
                body = ("A" * 76 + "\r\n") * (n * 20)
                client.append("INBOX", "\\Answered $Work" if n % 3 else "", f'"{n + 1:02}-Feb-2024 10:00:00 +0000"',
                              message(f"old {n}", body, Message_ID=f"<{n}@old>", In_Reply_To="<0@old>"))
            client.logout()
        client = login(server, DORA)
        client.create('"Ordner &APw-"')
        client.subscribe("Archive")
        client.select("INBOX")
        client.uid("COPY", "1:4", "Archive")
        client.logout()
        listed = server.api("GET", f"/users/{server.user_id(DORA)}/mailboxes")["results"]
        box = next(entry["id"] for entry in listed if entry["path"] == "Archive")
        self.dora = f"/users/{server.user_id(DORA)}/mailboxes/{box}/messages/2"
        server.api("PUT", self.dora, {"expires": "2099-01-02T03:04:05.000Z", "metaData": {"of": "dora"}})
        server.api("DELETE", f"/users/{server.user_id(EVE)}?deleteAfter=2099-01-01T00:00:00.000Z")

    def expect_refusal(self, server, words):
        done = subprocess.run(server.arguments(), text=True, capture_output=True, timeout=60, env=clean_environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(words, done.stderr)

    def switch(self, place, target, loads, finish):
        """`finish` moves the rest while everybody goes on trying; then the target is where the source was."""
        source, refused = place.server, [load.refused for load in loads]
        begun = time.monotonic()
        self.assertRegex(finish(), r"Verified 5 users, \d+ mailboxes, \d+ messages")
        self.expect_refusal(source, "this store was moved to")
        target.token_path, target.ids = source.token_path, source.ids
        target.start()
        place.server = target
        for load in loads:
            load.works(3)
        print(f"switched in {time.monotonic() - begun:.1f} s", flush=True)
        for load, before in zip(loads, refused, strict=True):
            self.assertGreater(load.refused, before, type(load).__name__)

    def expect_same(self, server, state):
        for name, mailbox in user_as_seen(server, DORA).items():
            self.assertEqual(mailbox, state["dora"][name], name)
        shown = server.api("GET", self.dora)
        self.assertEqual((shown["metaData"], shown["expires"]), ({"of": "dora"}, "2099-01-02T03:04:05.000Z"))
        with self.assertRaises(imaplib.IMAP4.error):
            login(server, DORA, "wrong")
        # A client that had seen all is told nothing; one that missed a change hears of it alone.
        self.assertEqual(changed_since(server, DORA, state["dora"]["INBOX"][0]["HIGHESTMODSEQ"]), set())
        self.assertEqual(changed_since(server, DORA, state["missed"]), {3})

    def change_as_others_miss_it(self, server):
        client = login(server, DORA)
        marks, _ = mailbox_as_seen(client, "INBOX")
        client.uid("STORE", "3", "+FLAGS", "\\Flagged")
        client.uid("STORE", "5", "+FLAGS", "\\Deleted")
        client.uid("EXPUNGE", "5")
        client.logout()
        return marks["HIGHESTMODSEQ"]

    def follow(self, source_name, target_name, server, target, loads, data, *more):
        """Copies while people use the source, is killed in the middle, and goes on."""
        arguments = (source_name, target_name, data, *more)
        for load in loads:
            load.works(2)
        self.break_off(*arguments, after=0.7, kill=None)
        if source_name == "embedded":  # the server does the copying
            for after in (1, 0.3, 0.1, 0.05, 0.02):  # so small a store may be copied sooner
                broken_off = self.break_off(*arguments, after=after, kill=server.kill)
                server.start()
                if broken_off:
                    break
            self.assertNotEqual(broken_off, 0)
        self.assertIn("all bytes compared", self.migrate(*arguments))
        self.expect_refusal(target, "only partly there")
        for load in loads:
            load.works(2)

    def journey(self, steps):
        """`steps`: (names of the engines, the target, its directory or what else names it, who ends the source)"""
        source = self.server("one")
        source.start()
        self.fill(source)
        place = Place(source)
        state = {"missed": self.change_as_others_miss_it(source), "dora": user_as_seen(source, DORA)}
        loads = [Mta(place, ANN), Person(place, BOB), Program(place, CLEO)]
        for load in loads:
            load.start()
        try:
            for source_name, target_name, target, data, more in steps:
                self.follow(source_name, target_name, place.server, target, loads, data, *more)
                if source_name == "mongodb":
                    told = self.migrate(source_name, target_name, data, *more, "--switch", status=1)
                    self.assertIn("still in use by mallard:", told)
                    self.assertEqual(place.server.stop(), 0)
                self.switch(place, target, loads,
                            lambda: self.migrate(source_name, target_name, data, *more, "--switch"))
                self.expect_same(target, state)
        finally:
            for load in loads:
                load.stop()
        server = place.server
        for load in loads:
            load.check(server)
        user = server.user_id(EVE)
        server.api("POST", f"/users/{user}/restore", {})
        self.assertEqual(len(mailbox_as_seen(login(server, EVE), "INBOX")[1]), 6)
        self.assertEqual(server.check(), [])

    @unittest.skipUnless(CLUSTER, "needs a cluster")
    def test_there_and_back(self):
        there, back = self.server("two", self.dbs), self.server("three")
        self.journey([("embedded", "mongodb", there, self.folder / "one" / "data", ()),
                      ("mongodb", "embedded", back, self.folder / "three" / "data", ())])

    @unittest.skipIf(CLUSTER, "shown by itself")
    def test_to_another_directory(self):
        target = self.server("two")
        self.journey([("embedded", "embedded", target, self.folder / "one" / "data", ("--to-data", str(target.data)))])

    @unittest.skipIf(CLUSTER, "shown by itself")
    def test_what_is_abandoned_is_served_again(self):
        source, target = self.server("one"), self.server("two")
        source.start()
        source.add_user(ANN, PASSWORD)
        login(source, ANN).append("INBOX", "", None, message("kept"))
        move = ("embedded", "embedded", source.data, "--to-data", str(target.data))
        self.migrate(*move)
        self.expect_refusal(target, "only partly there")
        self.migrate(*move, "--switch")
        self.expect_refusal(source, "moved to embedded in")
        self.assertIn("already moved", self.migrate(*move, status=1))
        self.assertEqual(source.command("migrate", "--abandon").returncode, 0)
        source.start()
        self.assertEqual(len(mailbox_as_seen(login(source, ANN), "INBOX")[1]), 1)
        self.assertIn("in use (1 users)", self.migrate(*move, status=1))
        target.start()
        self.assertIn(f"{target.data}", self.migrate(*move, status=1))  # a server has it
        self.assertEqual(target.stop(), 0)

    @unittest.skipIf(CLUSTER, "shown by itself")
    def test_a_target_that_is_given_up_can_be_served_as_it_is(self):
        source, target = self.server("one"), self.server("two")
        source.start()
        source.add_user(ANN, PASSWORD)
        self.migrate("embedded", "embedded", source.data, "--to-data", str(target.data))
        self.assertEqual(target.command("migrate", "--abandon").returncode, 0)
        target.start()
        login(target, ANN).logout()

    @unittest.skipIf(CLUSTER, "shown by itself")
    def test_says_what_is_wrong(self):
        empty = self.folder / "empty"
        self.assertIn("--to-data", self.migrate("embedded", "embedded", empty, status=2))
        self.assertIn("say --from", self.migrate("mongodb", "mongodb", empty, status=2))
        self.assertIn("--to-data is for", self.migrate("embedded", "mongodb", empty, "--to-data", "x", status=2))
        nobody = ("--set", "dbs.mongo=mongodb://127.0.0.1:1/x", "--set", "dbs.redis=redis://127.0.0.1:1/3")
        self.assertIn("dbs.redis", self.migrate("mongodb", "embedded", empty, *nobody, status=1))
        server = self.server("one")
        server.start()
        self.assertIn("serves from embedded, not from mongodb", self.migrate("mongodb", "embedded", server.data, *nobody,
                                                                             status=1))


if __name__ == "__main__":
    cases.main()
