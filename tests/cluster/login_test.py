#!/usr/bin/env python3
"""A MongoDB that wants a login: with one that may read and write this database alone all works; a wrong one is told at start."""

import smtplib
import tempfile
import unittest

from cluster import run_cases, servers
from imap_session import ImapSession
from mallard_server import MallardServer

NAME, PASSWORD = "mailer", "pa:ss/w%rd"
ENCODED = "pa%3Ass%2Fw%25rd"
USER = "ann@example.com"


class GuardedMongod(servers.Mongod):
    guarded = False

    def command(self):
        return super().command() + (["--auth", "--keyFile", self.folder / "key"] if self.guarded else [])

    def guard(self):
        (self.folder / "key").write_text("c2VjcmV0" * 8)
        (self.folder / "key").chmod(0o600)
        client = servers.import_pymongo().MongoClient(self.url())
        client.admin.command("createUser", NAME, pwd=PASSWORD, roles=[{"role": "readWrite", "db": "mallard_test"}])
        self.stop()
        self.guarded = True
        self.start()


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.mongo, cls.redis = GuardedMongod(folder.name).start(), servers.Redis(folder.name).start()
        cls.addClassCleanup(cls.redis.stop)
        cls.addClassCleanup(cls.mongo.stop)
        cls.mongo.guard()

    def server(self, login):
        host = self.mongo.url().partition("//")[2]
        return MallardServer({"store": "mongodb", "dbs.redis": self.redis.url(),
                              "dbs.mongo": f"mongodb://{login}{host}" + ("&authSource=admin" if login else "")})

    def expect_refusal(self, login, why):
        server = self.server(login)
        self.addCleanup(server.__exit__)
        with self.assertRaisesRegex(RuntimeError, why):
            server.start()
        return server.log_path.read_text()

    def test_who_may_read_and_write_the_database_alone_serves(self):
        with self.server(f"{NAME}:{ENCODED}@") as server:
            server.add_user(USER, "secret")
            with smtplib.LMTP("127.0.0.1", server.lmtp_port) as lmtp:
                lmtp.sendmail("s@example.com", [USER], b"Subject: in\r\n\r\nQuack.\r\n")
            session = ImapSession(server.imap_port, USER, "secret")
            self.assertTrue(any(b"1 EXISTS" in line for line in session.command("SELECT INBOX")[2]))
            self.assertEqual(session.command("STORE 1 +FLAGS (\\Deleted)")[0], "OK")
            self.assertEqual(session.command("EXPUNGE")[0], "OK")
            session.close()
            self.assertEqual(server.check(), [])
            log = server.log_path.read_text()
        for text in (PASSWORD, ENCODED, "error", "warning"):
            self.assertNotIn(text, log)

    def test_a_wrong_password_is_told_at_start_and_not_shown(self):
        self.assertNotIn("wr%3Aong", self.expect_refusal(f"{NAME}:wr%3Aong@", r"dbs\.mongo \(mongodb://127.*: Authentication failed"))

    def test_no_login_where_one_is_wanted_is_told_at_start(self):
        self.expect_refusal("", r"dbs\.mongo \(mongodb://127.*requires authentication")


if __name__ == "__main__":
    run_cases(servers.mongod, servers.import_pymongo)
