#!/usr/bin/env python3
"""The database is away: whatever is asked for is refused for now (503, a temporary error), never answered wrongly, and soon."""

import concurrent.futures
import re
import time
import unittest

from cluster import Cluster, run_cases, servers
from imap_session import ImapSession
from mallard_server import ApiError, ask
from wire import Lmtp

USER, PASSWORD = "ann@example.com", "secret-outage"
FIRST_SECONDS_MAX = 60  # all endpoints at once wait for some threads, each for ten seconds
LATER_SECONDS_MAX = 60  # one after the other
BACK_SECONDS_MAX = 30
NO_DATABASE = {"openapi", "metrics", "isUserAuthenticated", "invalidateAccessToken"}  # asked for nothing of it
REMEMBERED = {"getUser"}
LEFT_OUT = {"logoutUser"}  # of a user who is remembered it works, and ends this test's session
BODIES = {
    "createUser": {"username": "bob", "password": "secret", "address": "bob@example.com"},
    "updateUser": {"name": "N"}, "createMailbox": {"path": "X"}, "updateMailbox": {"path": "Y"},
    "updateMessage": {"message": "1", "seen": True}, "updateMessagePathParams": {"seen": True},
    "createUserAddress": {"address": "q@example.com"}, "updateUserAddress": {"name": "x"}, "updateForwardedAddress": {"name": "x"},
    "createForwardedAddress": {"address": "g@example.com", "targets": ["a@b.example"]},
    "authenticate": {"username": USER, "password": PASSWORD}, "preauth": {"username": USER},
    "uploadMessage": {"raw": "Subject: x\r\n\r\nx\r\n"}, "createDomainAlias": {"domain": "example.com", "alias": "z.example"},
    "renameDomain": {"oldDomain": "example.com", "newDomain": "n.example"},
}


class Outage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=1, kind="mongod").__enter__()
        cls.addClassCleanup(cls.cluster.close)
        cls.server = server = cls.cluster.nodes[0]
        user = cls.cluster.add_user(USER, PASSWORD)
        lmtp = Lmtp(server.lmtp_port)
        lmtp.deliver("s@example.com", [USER], b"Subject: in\r\n\r\nQuack.\r\n")
        lmtp.close()
        boxes = server.api("GET", f"/users/{user}/mailboxes")["results"]
        cls.names = {
            "user": user, "mailbox": next(box["id"] for box in boxes if box["path"] == "INBOX"), "message": "1",
            "attachment": "ATT00001", "username": "ann", "event": "f" * 24,
            "id": server.api("GET", f"/users/{user}/addresses")["results"][0]["id"],
            "forwarded": server.api("POST", "/addresses/forwarded", {"address": "f@example.com", "targets": ["a@b.example"]})["id"],
            "alias": server.api("POST", "/domainaliases", {"domain": "example.com", "alias": "e.example"})["id"],
        }
        cls.operations = list(cls.all_operations(server.api("GET", "/openapi.json")))

    @classmethod
    def all_operations(cls, document):
        """(method, path, name, body) of each."""
        for template, operations in document["paths"].items():
            def value(match, template=template):
                name = match[1]
                if "resolve" in template:
                    return {"alias": "e.example", "address": USER}.get(name, "ann")
                if name in ("address", "id"):
                    return cls.names["forwarded" if "forwarded" in template else "id"]
                return cls.names[name]
            path = re.sub(r"\{(\w+)\}", value, template)
            for method, operation in operations.items():
                name = operation.get("operationId")
                if method in ("get", "put", "post", "delete") and name not in LEFT_OUT:
                    yield method.upper(), path, name, BODIES.get(name, {}) if method in ("put", "post") else None

    def status(self, operation):
        method, path, _, body = operation
        try:
            ask(self.server.api_port, method, path, body, raw=True, headers={"X-Access-Token": self.server.token})
            return 200, ""
        except ApiError as error:
            return error.status, error.body

    def expect_temporary(self, operation, status, text):
        name = operation[2]
        if name in NO_DATABASE or (name in REMEMBERED and status == 200):
            return self.assertEqual(status, 200, name)
        if name == "getHealth":
            return self.assertEqual((status, "cannot be reached" in text), (500, True))
        self.assertEqual(status, 503, f"{operation}: {text}")
        self.assertIn("TemporarilyUnavailable", text)

    def test_everything_is_refused_for_now_and_soon_and_works_again(self):
        session = ImapSession(self.server.imap_port, USER, PASSWORD)
        session.command("SELECT INBOX")
        self.cluster.mongo.kill()
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(len(self.operations)) as pool:
            for operation, reply in zip(self.operations, pool.map(self.status, self.operations), strict=True):
                with self.subTest(operation[2]):
                    self.expect_temporary(operation, *reply)
        self.assertLess(time.monotonic() - begin, FIRST_SECONDS_MAX)
        begin = time.monotonic()
        for operation in self.operations:
            with self.subTest(operation[2], later=True):
                self.expect_temporary(operation, *self.status(operation))
        took = time.monotonic() - begin
        self.assertLess(took, LATER_SECONDS_MAX)
        print(f"{len(self.operations)} operations, one after the other, in {took:.1f} s", end=" ... ")
        for text in ("STORE 1 +FLAGS (\\Flagged)", "COPY 1 Trash", "CREATE Kept", "SELECT INBOX"):
            status, reply, _ = session.command(text)
            self.assertEqual(status, "NO", text)
            self.assertRegex(reply, r"\[(UNAVAILABLE|TEMPFAIL|INUSE)\]", text)
        self.cluster.mongo.start()
        end = time.monotonic() + BACK_SECONDS_MAX
        while session.command("SELECT INBOX")[0] != "OK":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.assertEqual(session.command("STORE 1 +FLAGS (\\Flagged)")[0], "OK")
        session.close()
        self.assertEqual(self.server.api("GET", "/users")["total"], 1)
        self.assertEqual(self.server.check(), [])


if __name__ == "__main__":
    run_cases(servers.mongod)
