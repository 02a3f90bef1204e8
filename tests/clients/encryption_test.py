#!/usr/bin/env python3
"""Mail that is stored encrypted for its owner's OpenPGP key, read back by gpg: in by LMTP, IMAP and REST."""

import email
import email.policy
import imaplib
import pathlib
import shutil
import subprocess
import tempfile

from common import PASSWORD, ServerCase, cases, message
from mallard_server import ApiError
from wire import Lmtp

USER = "ann@example.com"


class Gpg:
    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gpg-"))
        self.run("--passphrase", "", "--quick-generate-key", f"Ann <{USER}>", "future-default", "default", "never")
        self.public_key = self.run("--armor", "--export", USER).decode()
        self.fingerprint = next(line.split(":")[9] for line in self.run("--list-keys", "--with-colons").decode()
                                .splitlines() if line.startswith("fpr:")).lower()

    def run(self, *arguments, text=None):
        done = subprocess.run(["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty", *arguments],
                              input=text, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def decrypt(self, text):
        return self.run("--decrypt", text=text)

    def close(self):
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)


class Encryption(ServerCase):
    users = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gpg = Gpg()
        cls.user = cls.server.add_user(USER, PASSWORD, pubKey=cls.gpg.public_key, encryptMessages=True)
        cls.path = f"/users/{cls.user}"

    @classmethod
    def tearDownClass(cls):
        cls.gpg.close()
        super().tearDownClass()

    def setUp(self):
        self.imap = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        self.imap.login(USER, PASSWORD)
        self.addCleanup(self.imap.logout)

    def stored(self, mailbox="INBOX"):
        """The newest message as it is stored."""
        self.imap.select(mailbox)
        return self.imap.fetch("*", "(BODY.PEEK[])")[1][0][1]

    def opened(self, raw):
        """What is encrypted in it."""
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        self.assertEqual(parsed.get_content_type(), "multipart/encrypted")
        self.assertEqual(parsed.get_param("protocol"), "application/pgp-encrypted")
        control, data = parsed.iter_parts()
        self.assertEqual(control.get_content_type(), "application/pgp-encrypted")
        return self.gpg.decrypt(data.get_payload(decode=True))

    def deliver(self, text):
        lmtp = Lmtp(self.server.lmtp_port)
        lmtp.deliver("sender@example.com", [USER], text)
        lmtp.close()

    def test_the_key_is_shown(self):
        user = self.server.api("GET", self.path)
        self.assertEqual(user["keyInfo"], {"name": "Ann", "address": USER, "fingerprint": self.gpg.fingerprint})
        self.assertTrue(user["encryptMessages"])

    def test_what_comes_by_lmtp(self):
        sent = message("secret plans", "the body " * 1000, X_Header="hidden")
        self.deliver(sent)
        raw = self.stored()
        self.assertNotIn(b"the body", raw)
        self.assertNotIn(b"hidden", raw)
        self.assertIn(b"Subject: secret plans", raw)
        inner = self.opened(raw)
        self.assertTrue(inner.startswith(b"Delivered-To: "), inner[:100])
        self.assertTrue(inner.endswith(b"\r\n" + sent))
        newest = self.server.api("GET", f"{self.path}/mailboxes/{self.inbox()}/messages")["results"][0]
        self.assertTrue(newest["encrypted"])
        self.assertEqual(newest["subject"], "secret plans")
        self.assertEqual(newest["intro"], "")

    def inbox(self):
        return self.server.api("GET", self.path + "/mailboxes/resolve?path=INBOX")["id"]

    def test_what_is_appended_or_uploaded(self):
        sent = message("appended")
        self.imap.append("INBOX", r"(\Flagged)", None, sent)
        self.assertEqual(self.opened(self.stored()), sent)
        self.assertIn(rb"\Flagged", self.imap.fetch("*", "(FLAGS)")[1][0])
        sent = message("uploaded")
        self.server.api("POST", f"{self.path}/mailboxes/{self.inbox()}/messages", sent, "message/rfc822")
        self.assertEqual(self.opened(self.stored()), sent)

    def test_what_is_encrypted_stays_as_it_is(self):
        self.imap.append("INBOX", None, None, message("once"))
        once = self.stored()
        self.imap.append("INBOX", None, None, once)
        self.assertEqual(self.stored(), once)

    def test_drafts_stay_in_the_clear(self):
        draft = message("draft")
        self.imap.append("Drafts", None, None, draft)
        self.assertEqual(self.stored("Drafts"), draft)
        self.imap.append("INBOX", r"(\Draft)", None, draft)
        self.assertEqual(self.stored(), draft)

    def test_a_mailbox_can_ask_for_it(self):
        self.server.api("PUT", self.path, {"encryptMessages": False})
        try:
            mailbox = self.server.api("POST", self.path + "/mailboxes", {"path": "Vault", "encryptMessages": True})["id"]
            sent = message("locked away")
            self.imap.append("Vault", None, None, sent)
            self.assertEqual(self.opened(self.stored("Vault")), sent)
            for command in (self.imap.copy, lambda *a: self.imap._simple_command("MOVE", *a)):
                self.imap.append("INBOX", r"(\Answered keyword)", '"01-Jan-2024 10:00:00 +0000"', sent)
                self.assertEqual(self.stored(), sent)
                status, reply = command(self.imap.select("INBOX")[1][0].decode(), "Vault")
                self.assertEqual(status, "OK", reply)
                self.assertEqual(self.opened(self.stored("Vault")), sent)
                told = self.imap.fetch("*", "(FLAGS INTERNALDATE)")[1][0]
                self.assertIn(rb"\Answered", told)
                self.assertIn(b"keyword", told)
                self.assertIn(b"01-Jan-2024 10:00:00", told)
            self.server.api("PUT", f"{self.path}/mailboxes/{mailbox}", {"encryptMessages": False})
            self.imap.append("Vault", None, None, sent)
            self.assertEqual(self.stored("Vault"), sent)
            self.deliver(sent)
            self.assertTrue(self.stored().endswith(sent))
        finally:
            self.server.api("PUT", self.path, {"encryptMessages": True})
        self.assertEqual(self.server.check(), [])

    def test_a_key_that_can_not_be_used_is_refused(self):
        with self.assertRaises(ApiError) as refused:
            self.server.api("PUT", self.path, {"pubKey": self.gpg.public_key[:200]})
        self.assertEqual(refused.exception.status, 400)


if __name__ == "__main__":
    cases.main()
