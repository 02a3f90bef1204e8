#!/usr/bin/env python3
"""What clients do makes no query that reads a collection through: MongoDB's profiler records every query, with its plan.

    scans_test.py [-v]

The C++ tests ask MongoDB to explain what the mail store asks; this one sees all that the program asks, and how much of what
was looked at was wanted."""

import random
import time
import unittest

from cluster import Cluster, run_cases, servers
import fault_test
from imap_session import ImapSession
from mallard_server import ApiError
from wire import Lmtp, Pop3

USER, PASSWORD = fault_test.USER, fault_test.PASSWORD
OTHERS = 150  # users, so that reading them all would show
SECONDS = 3
PROFILE_BYTES = 200_000_000
FAR_FROM_WANTED = 60  # documents looked at for one that is given
IMAP = ["SELECT INBOX", 'LIST "" *', "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)", "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)",
        "FETCH 1:3 BODY.PEEK[]", "SEARCH SUBJECT x", "SEARCH SINCE 1-Jan-2020 UNSEEN", "GETQUOTAROOT INBOX", "RENAME Copies Copied",
        "DELETE Copied", "UNSUBSCRIBE Moved", 'LSUB "" *']


class Scans(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=1, kind="mongod").__enter__()
        cls.addClassCleanup(cls.cluster.close)
        cls.server = cls.cluster.nodes[0]
        cls.database = servers.database(cls.cluster.mongo.url())
        for number in range(OTHERS):
            cls.server.api("POST", "/users", {"username": f"other{number}", "password": PASSWORD, "tags": ["others"],
                                              "address": f"other{number}@example.com"})
        cls.database.create_collection("system.profile", capped=True, size=PROFILE_BYTES)
        cls.database.command("profile", 2)
        cls.use()
        cls.database.command("profile", 0)
        cls.profile = [one for one in cls.database.system.profile.find() if not one["ns"].endswith(".system.profile")]
        assert len(cls.profile) > 1000

    @classmethod
    def use(cls):
        server = cls.server
        cls.cluster.add_user(USER, PASSWORD, quota=100_000_000_000, imapMaxConnections=1000)
        user = server.user_id(USER)
        session = ImapSession(server.imap_port, USER, PASSWORD)
        for mailbox in fault_test.MAILBOXES[1:]:
            session.command(f"CREATE {mailbox}")
        load = fault_test.Load(cls.cluster, random.Random(1))
        load.start()
        time.sleep(SECONDS)
        load.finish()
        for text in IMAP:
            assert session.command(text)[0] == "OK", text
        Pop3(server.pop3_port, USER, PASSWORD).close()
        with_alias = [f"other{number}@alias.example" for number in range(3)]
        server.api("POST", "/domainaliases", {"domain": "example.com", "alias": "alias.example"})
        lmtp = Lmtp(server.lmtp_port)
        lmtp.deliver("s@example.com", [USER, "other1@example.com", *with_alias], b"Subject: to many\r\n\r\nQuack.\r\n")
        lmtp.close()
        cls.use_rest(user, load.ids["INBOX"])

    @classmethod
    def use_rest(cls, user, inbox):
        def ask(method, path, body=None):
            try:
                return cls.server.api(method, path, body)
            except ApiError as error:
                assert error.status == 404, error  # of who was asked for in vain
        for path in ("/users", "/users?query=other7", "/users?tags=others&limit=5", "/users/resolve/other9", f"/users/{user}",
                     f"/users/{user}/addresses", f"/users/{user}/authlog", f"/users/{user}/mailboxes?counters=true",
                     "/addresses", "/addresses?query=other7", "/addresses/resolve/other3@example.com",
                     "/addresses/resolve/nobody@example.com", "/domainaliases", "/domainaliases/resolve/alias.example"):
            ask("GET", path)
        ask("POST", f"/users/{user}/addresses", {"address": "more@example.com", "tags": ["a"]})
        ask("POST", "/addresses/forwarded", {"address": "away@example.com", "targets": ["a@elsewhere.example"]})
        ask("POST", "/authenticate", {"username": "other5", "password": PASSWORD, "scope": "imap"})
        ask("PUT", f"/users/{user}", {"name": "N", "tags": ["b"]})
        ask("POST", f"/users/{user}/quota/reset", {})
        messages = f"/users/{user}/mailboxes/{inbox}/messages"
        one = ask("GET", f"{messages}?limit=20")["results"][0]["id"]
        ask("GET", f"{messages}/{one}")
        ask("PUT", f"{messages}/{one}", {"metaData": {"a": 1}, "expires": "2099-01-01T00:00:00Z"})
        ask("DELETE", f"{messages}/{one}")
        ask("DELETE", f"/users/{user}?deleteAfter=2099-01-01T00:00:00Z")
        ask("GET", f"/users/{user}/restore")
        ask("POST", f"/users/{user}/restore", {})

    @staticmethod
    def told(one):
        """An entry of the profile, for people."""
        asked = next((one["command"][word] for word in ("filter", "query", "q", "pipeline") if word in one["command"]), None)
        return f"{one['ns'].partition('.')[2]} {one['op']} {asked}: {one.get('planSummary')}, " \
            f"{one.get('docsExamined')} looked at for {one.get('nreturned')}"

    def test_no_collection_is_read_through(self):
        self.assertEqual([self.told(one) for one in self.profile if "COLLSCAN" in one.get("planSummary", "")], [])

    def test_what_is_looked_at_is_what_is_wanted(self):
        """But for updates, removals and counts, which are of all that they look at."""
        queries = [one for one in self.profile if one["op"] == "query"]
        self.assertEqual([self.told(one) for one in queries
                          if one["docsExamined"] > FAR_FROM_WANTED * max(1, one["nreturned"])], [])
        self.assertGreater(max(one["docsExamined"] for one in queries), FAR_FROM_WANTED)

    def test_the_profiler_tells_a_scan(self):
        self.database.command("profile", 2)
        list(self.database.users.find({"nosuchfield": 1}))
        self.database.command("profile", 0)
        scan = self.database.system.profile.find_one({"command.filter.nosuchfield": 1})
        self.assertEqual((scan["planSummary"], scan["docsExamined"]), ("COLLSCAN", OTHERS + 1))


if __name__ == "__main__":
    run_cases(servers.mongod, servers.import_pymongo)
