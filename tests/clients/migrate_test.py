"""`mallard migrate` as an operator and the clients see it: embedded to MongoDB and back, with writes going on, with kill
-9 in the middle; then the same UIDVALIDITY, UIDs, flags, modseqs and bytes, passwords and tokens."""

import hashlib
import imaplib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from common import BINARY, PASSWORD, MallardServer, cases, clean_environment, message

USERS = ("ann@example.com", "bob@example.com", "cleo@example.com")
MONGO, REDIS = (os.environ.get(name, "") for name in ("MALLARD_TEST_MONGO_URL", "MALLARD_TEST_REDIS_URL"))


def login(server, user, password=PASSWORD):
    client = imaplib.IMAP4("127.0.0.1", server.imap_port)
    client.login(user, password)
    return client


def quiet(client, mailbox):
    """What a client that comes back asks for: everything of a mailbox."""
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


def state_of(server):
    out = {}
    for user in USERS:
        client = login(server, user)
        for line in client.list()[1]:
            name = re.search(r'"([^"]*)"$|(\S+)$', line.decode())
            name = name[1] or name[2]
            out[user, name] = quiet(client, name)
        client.logout()
    return out


class Writer(threading.Thread):
    """Appends, flags, moves and expunges, a bounded number of times; breaks of its connections are borne."""

    ROUNDS = 40  # a slow database must be able to catch up

    def __init__(self, server, user):
        super().__init__()
        self.server, self.user, self.rounds, self.ending = server, user, 0, False

    def run(self):
        while not self.ending:
            try:
                client = login(self.server, self.user)
                while not self.ending and self.rounds < self.ROUNDS:
                    self.round(client)
                    time.sleep(0.1)  # spread over the migration
                client.logout()
                return
            except (OSError, imaplib.IMAP4.error):
                time.sleep(0.05)  # the server was killed: it comes back

    def round(self, client):
        self.rounds += 1
        n = self.rounds
        body = ("x" * 76 + "\r\n") * (n % 50)
        client.append("INBOX", "\\Seen" if n % 2 else "$Work", None, message(f"{self.user} {n}", body))
        client.select("INBOX")
        uids = client.uid("SEARCH", "ALL")[1][0].split()
        client.uid("STORE", uids[n % len(uids)], "+FLAGS", "(\\Flagged $Later)")
        if n % 5 == 0:
            client.uid("MOVE", uids[n % len(uids)], "Archive")
        if n % 7 == 0:
            client.uid("STORE", uids[-1], "+FLAGS", "\\Deleted")
            client.expunge()
        if n % 11 == 0:
            client.create(f"Box{n}")
            client.rename(f"Box{n}", f"Renamed{n}")

    def stop(self):
        self.ending = True
        self.join()


@unittest.skipUnless(MONGO and REDIS, "no MALLARD_TEST_MONGO_URL and MALLARD_TEST_REDIS_URL")
class Migrate(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mallard-migrate-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.dbs = {"dbs.mongo": MONGO, "dbs.redis": REDIS}

    def arguments(self, source, target, data, *more):
        sets = [word for item in self.dbs.items() for word in ("--set", "=".join(item))]
        return [str(BINARY), "migrate", "--from", source, "--to", target, "--data", str(data), *sets, *more]

    def migrate(self, *arguments, status=0):
        done = subprocess.run(self.arguments(*arguments), text=True, capture_output=True, timeout=500,
                              env=clean_environment())
        print(done.stdout + done.stderr, flush=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def kill_in_the_middle(self, source, target, data, seconds):
        process = subprocess.Popen(self.arguments(source, target, data), env=clean_environment())
        time.sleep(seconds)
        process.kill()
        process.wait()

    def fill(self, server):
        for user in USERS:
            done = server.command("user", "add", user, "--password-stdin", text_in=PASSWORD + "\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            client = login(server, user)
            for n in range(20):
                client.append("INBOX", "\\Answered" if n % 3 else "", f'"{n % 28 + 1:02}-Feb-2024 10:00:00 +0000"',
                              message(f"old {n}", "A" * (n * 199)))
            client.create("Archive")
            client.logout()

    def expect_refusal(self, server, words):
        done = subprocess.run(server.arguments(), text=True, capture_output=True, timeout=60, env=clean_environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(words, done.stderr)

    def expect_same(self, server, state, token):
        now = state_of(server)
        self.assertEqual(now.keys(), state.keys())
        for name, mailbox in state.items():
            self.assertEqual(now[name], mailbox, name)
        request = urllib.request.Request(f"http://127.0.0.1:{server.api_port}/users")
        request.add_header("X-Access-Token", token)
        with urllib.request.urlopen(request, timeout=60) as reply:
            self.assertEqual(reply.status, 200)
        with self.assertRaises(imaplib.IMAP4.error):
            login(server, USERS[0], "wrong")
        client = login(server, USERS[0])  # UIDs go on where they were
        (marks, _), uid_next = state[USERS[0], "INBOX"], int(state[USERS[0], "INBOX"][0]["UIDNEXT"])
        status, reply = client.append("INBOX", "", None, message("after"))
        self.assertIn(f"APPENDUID {marks['UIDVALIDITY']} {uid_next}]", reply[0].decode())
        client.logout()

    def test_there_and_back(self):
        embedded = MallardServer(data=self.folder / "one")
        self.addCleanup(embedded.kill)
        embedded.start()
        self.fill(embedded)
        token = embedded.command("token", "create").stdout.split()[-1]

        writers = [Writer(embedded, user) for user in USERS]
        for writer in writers:
            writer.start()
        try:
            self.kill_in_the_middle("embedded", "mongodb", embedded.data, 1.5)
            self.migrate_until_killed_server(embedded)
            told = self.migrate("embedded", "mongodb", embedded.data)
            self.assertIn("all bytes compared", told)
        finally:
            for writer in writers:
                writer.stop()
        self.assertTrue(all(writer.rounds > 3 for writer in writers))
        state = state_of(embedded)
        told = self.migrate("embedded", "mongodb", embedded.data, "--switch")
        self.assertRegex(told, r"Verified 3 users, \d+ mailboxes, \d+ messages")
        self.assertEqual(embedded.process.wait(30), 0)
        self.expect_refusal(embedded, "moved to mongodb")

        cluster = MallardServer({"store": "mongodb", **self.dbs}, data=self.folder / "two")
        self.addCleanup(cluster.kill)
        cluster.start()
        self.expect_same(cluster, state, token)

        third = self.folder / "three" / "data"
        writer = Writer(cluster, USERS[1])
        writer.start()
        try:
            self.kill_in_the_middle("mongodb", "embedded", third, 1.5)
            self.migrate("mongodb", "embedded", third)
            self.assertIn("is still being written to", self.migrate("mongodb", "embedded", third, "--switch", status=1))
        finally:
            writer.stop()
        state = state_of(cluster)
        self.assertEqual(cluster.stop(), 0)
        self.expect_refusal(MallardServer(data=self.folder / "three"), "only partly there")
        self.assertIn("Verified 3 users", self.migrate("mongodb", "embedded", third, "--switch"))
        back = MallardServer(data=self.folder / "three")
        self.addCleanup(back.kill)
        back.start()
        self.expect_same(back, state, token)
        self.assertEqual(back.check(), [])

    def migrate_until_killed_server(self, server):
        """kill -9 of the server that copies."""
        process = subprocess.Popen(self.arguments("embedded", "mongodb", server.data), env=clean_environment(),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(1.5)
        server.kill()
        process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        server.start()

    def test_refuses_what_makes_no_sense(self):
        empty = self.folder / "empty"
        self.assertIn("say --from", self.migrate("embedded", "embedded", empty, status=2))


if __name__ == "__main__":
    cases.main()
