#!/usr/bin/env python3
"""Every message of tests/corpus/emails goes in by LMTP and APPEND, and comes out byte for byte by IMAP, POP3 and REST."""

from common import PASSWORD, ROOT, ServerCase, cases
from imap_session import ImapSession
from wire import Lmtp, Pop3

import re

CORPUS = sorted((ROOT / "tests/corpus/emails").glob("*.eml"))


def crlf_end(body):
    return body if body.endswith(b"\r\n") else body + b"\r\n"


class Corpus(ServerCase):
    users = ("lmtp@example.com", "append@example.com")
    settings = {"pop3.maxMessages": 1000}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        assert CORPUS, "the corpus is missing"
        cls.bodies = [file.read_bytes() for file in CORPUS]
        lmtp = Lmtp(cls.server.lmtp_port)
        session = ImapSession(cls.server.imap_port, "append@example.com", PASSWORD)
        for body in cls.bodies:
            lmtp.deliver("sender@example.com", ["lmtp@example.com"], crlf_end(body))
            status, text, _ = session.append("INBOX", body)
            assert status == "OK", text
        session.close()
        lmtp.close()

    def compare(self, name, got, sent, delivered):
        if delivered:  # what delivery adds stands in front
            sent = crlf_end(sent)
            self.assertTrue(got.endswith(sent), f"{name}: other bytes")
            self.assertRegex(got[: len(got) - len(sent)], rb"\A(Return-Path|Delivered-To): ", name)
        else:
            self.assertEqual(got, sent, name)

    def by_imap(self, user):
        session = ImapSession(self.server.imap_port, user, PASSWORD)
        session.command("EXAMINE INBOX")
        bodies = []
        for number in range(1, len(CORPUS) + 1):
            status, _, untagged = session.command(f"FETCH {number} BODY.PEEK[]")
            self.assertEqual(status, "OK")
            response = next(r for r in untagged if b"BODY[] {" in r)
            size = int(re.search(rb"BODY\[\] \{(\d+)\}\r\n", response).group(1))
            start = response.index(b"}\r\n") + 3
            bodies.append(response[start:start + size])
        session.close()
        return bodies

    def test_imap_gives_back_the_bytes(self):
        for user, delivered in (("lmtp@example.com", True), ("append@example.com", False)):
            for file, sent, got in zip(CORPUS, self.bodies, self.by_imap(user)):
                self.compare(file.name, got, sent, delivered)

    def test_pop3_gives_back_the_bytes(self):
        for user, delivered in (("lmtp@example.com", True), ("append@example.com", False)):
            pop3 = Pop3(self.server.pop3_port, user, PASSWORD)
            order = [int(line.split()[0]) for line in pop3.multiline("LIST").split(b"\r\n") if line]
            bodies = [pop3.multiline(f"RETR {number}") for number in order]
            self.assertEqual(len(bodies), len(CORPUS))
            for file, sent in zip(CORPUS, self.bodies):
                wanted = crlf_end(sent)  # POP3 shows no message without a final line end
                found = [b for b in bodies if (b.endswith(wanted) if delivered else b == wanted)]
                self.assertTrue(found, f"{file.name}: no such bytes")
            pop3.close()

    def test_rest_gives_back_the_bytes(self):
        for user, delivered in (("lmtp@example.com", True), ("append@example.com", False)):
            account = self.server.api("GET", f"/users/resolve/{user}")["id"]
            inbox = next(m["id"] for m in self.server.api("GET", f"/users/{account}/mailboxes")["results"]
                         if m["path"] == "INBOX")
            for uid, (file, sent) in enumerate(zip(CORPUS, self.bodies), 1):
                got = self.server.api("GET", f"/users/{account}/mailboxes/{inbox}/messages/{uid}/message.eml", raw=True)
                self.compare(file.name, got, sent, delivered)


if __name__ == "__main__":
    cases.main()
