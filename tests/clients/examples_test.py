#!/usr/bin/env python3
"""The programs of examples/: imapflow appends and reads, Nodemailer sends over LMTP."""

import os
import subprocess

from common import PASSWORD, ROOT, ServerCase, cases, clean_environment, message

USER = "ann@example.com"
EXAMPLES = ROOT / "examples"


class Examples(ServerCase):
    users = (USER, "bob@example.com")

    @classmethod
    def setUpClass(cls):
        lock = EXAMPLES / "package-lock.json"
        installed = EXAMPLES / "node_modules/.package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=EXAMPLES, check=True, timeout=300)
        super().setUpClass()

    def node(self, *arguments, **environment):
        return subprocess.run(["node", *map(str, arguments)], cwd=EXAMPLES, capture_output=True, timeout=60,
                              env={**clean_environment(), "IMAP_USER": USER, "IMAP_PASSWORD": PASSWORD,
                                   "LMTP_PORT": str(self.server.lmtp_port), **environment})

    def test_append_and_read_prints_the_message_and_its_source(self):
        file = self.server.data.parent / "example.eml"
        file.write_bytes(message("Grüße".encode().decode(), "Some text", Content_Type="text/plain; charset=utf-8"))
        for port, secure in ((self.server.imaps_port, "true"), (self.server.imap_port, "false")):
            done = self.node("append-and-read.mjs", file, IMAP_PORT=str(port), IMAP_SECURE=secure)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertTrue(done.stdout.endswith(b"source:\n" + file.read_bytes()), done.stdout)
            for word in (b"subject:     Gr", b"flags:       \\Seen", b"Some text"):
                self.assertIn(word, done.stdout)

    def test_append_and_read_takes_every_message_of_the_corpus(self):
        for file in sorted((ROOT / "tests/corpus/emails").glob("attachment_emails*.eml"))[:4]:
            done = self.node("append-and-read.mjs", file, IMAP_PORT=str(self.server.imaps_port))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertTrue(done.stdout.endswith(file.read_bytes()), file.name)

    def test_send_delivers_to_all_recipients(self):
        done = self.node("send.mjs", 25, USER, "bob@example.com")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(b"25 of 25 messages sent to 2 recipients", done.stdout)
        shown = self.server.command("user", "show", "bob@example.com")
        self.assertIn("INBOX (25 messages)", shown.stdout)

    def test_send_tells_of_a_recipient_that_is_refused(self):
        done = self.node("send.mjs", 1, "nobody@example.com")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"5.1.1", done.stderr)


if __name__ == "__main__":
    os.umask(0o077)
    cases.main()
