#!/usr/bin/env python3
"""Several nodes on one MongoDB and one Redis: started at once, one sees what another does, and soon.

Needs the servers of tests/mongo/with-servers, whatever MALLARD_TEST_ENGINE says."""

import imaplib
import os
import statistics
import subprocess
import sys
import time
import unittest

os.environ["MALLARD_TEST_ENGINE"] = "cluster"
if not (os.environ.get("MALLARD_TEST_MONGO_URL") and os.environ.get("MALLARD_TEST_REDIS_URL")):
    print("nodes_test: skipped: run it under tests/mongo/with-servers")
    sys.exit(77)

from common import BINARY, PASSWORD, MallardServer, cases, clean_environment, free_port, message  # noqa: E402
from imap_session import ImapSession  # noqa: E402
from wire import Lmtp  # noqa: E402

USER, EVE = "ann@example.com", "eve@example.com"
ROUNDS = 10
NODES = 3
EVENT_SECONDS_MAX = 10  # on a machine that is busy with other tests; what it takes is printed


def until(wanted, session):
    """Reads untagged responses up to the one that has `wanted` in it."""
    while True:
        response = session.read_response()
        if response.startswith(b"* ") and wanted in response:
            return response


class TwoNodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.here = MallardServer()
        cls.here.start()
        cls.here.add_user(USER, PASSWORD)
        cls.there = MallardServer(store=cls.here.store)
        cls.there.start()
        cls.there.token_path = cls.here.token_path  # made where the installation was founded
        cls.user = cls.here.user_id(USER)

    @classmethod
    def tearDownClass(cls):
        cls.there.__exit__()
        cls.here.__exit__()

    def idle(self, mailbox="INBOX"):
        session = ImapSession(self.here.imap_port, USER, PASSWORD)
        session.socket.settimeout(EVENT_SECONDS_MAX)
        session.command(f"SELECT {mailbox}")
        tag = session.send("IDLE")
        self.assertTrue(session.read_response().startswith(b"+"))
        return session, tag

    def test_idle_wakes_for_what_another_node_does(self):
        session, tag = self.idle()
        inbox = next(m["id"] for m in self.there.api("GET", f"/users/{self.user}/mailboxes")["results"]
                     if m["path"] == "INBOX")
        lmtp = Lmtp(self.there.lmtp_port)
        took = {"LMTP": [], "REST flags": [], "REST delete": []}
        for number in range(ROUNDS):
            lmtp.deliver("b@example.com", [USER], message(f"wake {number}"))
            done = time.monotonic()
            until(b" 1 EXISTS", session)
            took["LMTP"].append(time.monotonic() - done)

            uid = self.there.api("GET", f"/users/{self.user}/mailboxes/{inbox}/messages")["results"][0]["id"]
            self.there.api("PUT", f"/users/{self.user}/mailboxes/{inbox}/messages/{uid}", {"flagged": True})
            done = time.monotonic()
            until(b"\\Flagged", session)
            took["REST flags"].append(time.monotonic() - done)

            self.there.api("DELETE", f"/users/{self.user}/mailboxes/{inbox}/messages/{uid}")
            done = time.monotonic()
            until(b" EXPUNGE", session)
            took["REST delete"].append(time.monotonic() - done)
        session.socket.sendall(b"DONE\r\n")
        self.assertEqual(session.finish(tag)[0], "OK")
        session.close()
        lmtp.close()
        for what, seconds in took.items():
            print(f"\n  {what} there, IDLE here: median {1000 * statistics.median(seconds):.0f} ms, "
                  f"at most {1000 * max(seconds):.0f} ms after it was acknowledged", end="", flush=True)
        print(" ...", end=" ")

    def test_what_one_node_acknowledged_the_other_has_at_once(self):
        mailbox = self.there.api("POST", f"/users/{self.user}/mailboxes", {"path": "At once"})["id"]
        messages = f"/users/{self.user}/mailboxes/{mailbox}/messages"
        session = ImapSession(self.here.imap_port, USER, PASSWORD)
        self.here.api("GET", messages)
        for number in range(1, 31):
            self.assertEqual(session.append('"At once"', message(f"number {number}"))[0], "OK")
            listed = self.there.api("GET", messages)
            self.assertEqual((listed["total"], listed["results"][0]["id"]), (number, number))
            self.there.api("PUT", f"{messages}/{number}", {"flagged": True})
            untagged = session.command('STATUS "At once" (MESSAGES UNSEEN HIGHESTMODSEQ)')[2]
            self.assertIn(b"MESSAGES %d UNSEEN %d " % (number, number), untagged[0])
            session.command('EXAMINE "At once"')
            self.assertIn(b"\\Flagged", session.command("FETCH * FLAGS")[2][0])
            session.command("UNSELECT")
        session.close()

    def test_a_mailbox_deleted_there_ends_the_session_here(self):
        made = self.there.api("POST", f"/users/{self.user}/mailboxes", {"path": "Doomed"})
        session, _ = self.idle("Doomed")
        self.there.api("DELETE", f"/users/{self.user}/mailboxes/{made['id']}")
        until(b"BYE", session)
        session.close()

    def test_a_password_changed_there_counts_here(self):
        self.here.add_user(EVE, PASSWORD)
        self.log_in(PASSWORD)
        done = self.there.command("user", "password", EVE, "--password-stdin", text_in="another secret\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.log_in("another secret")
        with self.assertRaises(imaplib.IMAP4.error):
            self.log_in(PASSWORD)

    def log_in(self, password):
        with imaplib.IMAP4("127.0.0.1", self.here.imap_port) as client:
            client.login(EVE, password)

    def test_the_check_finds_nothing(self):
        self.assertEqual(self.there.check(), [])


class Start(unittest.TestCase):
    def test_nodes_that_start_at_once_on_an_empty_database_all_serve(self):
        first = MallardServer()
        nodes = [first] + [MallardServer(store=first.store) for _ in range(NODES - 1)]
        try:
            for node in nodes:
                node.start(wait=False)
            for node in nodes:
                node.wait()
            founders = [node for node in nodes if (node.data / "admin-token").exists()]
            self.assertEqual(len(founders), 1)
            founders[0].add_user(USER, PASSWORD)
            for node in nodes:
                session = ImapSession(node.imap_port, USER, PASSWORD)
                self.assertEqual(session.append("INBOX", message("from each"))[0], "OK")
                session.close()
            self.assertEqual(nodes[-1].check(), [])
        finally:
            for node in nodes:
                node.__exit__()

    def refused(self, **settings):
        node = MallardServer()
        arguments = [f"{key.replace('_', '.')}={value}" for key, value in {"store": "mongodb", **settings}.items()]
        began = time.monotonic()
        done = subprocess.run([str(BINARY), "serve", *node.store_arguments(), *(w for a in arguments for w in ("--set", a))],
                              capture_output=True, text=True, timeout=60, env=clean_environment())
        node.__exit__()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertLess(time.monotonic() - began, 30)
        said = [line for line in done.stderr.splitlines() if line.startswith("mallard: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertNotIn("geheim", done.stderr)
        return said[0]

    def test_a_database_that_cannot_be_reached_is_named_without_its_password(self):
        port = free_port()
        self.assertIn(f"dbs.mongo (mongodb://127.0.0.1:{port}/wd)",
                      self.refused(dbs_mongo=f"mongodb://ann:geheim@127.0.0.1:{port}/wd"))
        self.assertIn(f"dbs.redis (redis://127.0.0.1:{port}/3)",
                      self.refused(dbs_redis=f"redis://ann:geheim@127.0.0.1:{port}/3"))
        self.assertIn("dbs.users", self.refused(dbs_users=f"mongodb://ann:geheim@127.0.0.1:{port}/users"))

    def test_a_url_that_makes_no_sense_is_named(self):
        self.assertIn("dbs.mongo", self.refused(dbs_mongo="127.0.0.1"))
        self.assertIn("dbs.redis", self.refused(dbs_redis="127.0.0.1"))
        self.assertIn("dbs.redis", self.refused(dbs_redis=os.environ["MALLARD_TEST_REDIS_URL"].rsplit("/", 1)[0] + "/99999"))


if __name__ == "__main__":
    cases.main()
