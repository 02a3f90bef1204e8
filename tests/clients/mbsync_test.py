#!/usr/bin/env python3
"""mbsync keeps 1,000 messages the same on both sides (on the cluster engine, whose test database takes 0.2 s for a flag,
100), and has nothing to do the second time."""

import imaplib
import os
import pathlib
import subprocess
import tempfile

from common import PASSWORD, ServerCase, cases, clean_environment, message
from wire import Lmtp

USER = "ann@example.com"
ON_SERVER, IN_MAILDIR = (60, 40) if os.environ.get("MALLARD_TEST_ENGINE") == "cluster" else (600, 400)

CONFIG = """\
IMAPAccount mallard
Host 127.0.0.1
Port {port}
User {user}
Pass "{password}"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account mallard

MaildirStore near
Path {maildir}/
Inbox {maildir}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


class Mbsync(ServerCase):
    settings = {"imap.maxConnections": 50}

    def sync(self):
        done = subprocess.run(["mbsync", "--config", str(self.config), "--all"], capture_output=True, text=True, timeout=120,
                              env=clean_environment())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def local(self):
        return [f for f in (self.maildir / "INBOX").glob("*/*") if f.parent.name in ("cur", "new")]

    def remote(self):
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, PASSWORD)
            return int(client.select(readonly=True)[1][0]), client.search(None, "FLAGGED")[1][0].split()

    def test_syncs_messages_both_ways_and_then_rests(self):
        with tempfile.TemporaryDirectory() as directory:
            self.maildir = pathlib.Path(directory) / "mail"
            self.config = pathlib.Path(directory) / "mbsyncrc"
            self.config.write_text(CONFIG.format(port=self.server.imap_port, user=USER, password=PASSWORD,
                                                 maildir=self.maildir))
            lmtp = Lmtp(self.server.lmtp_port)
            for number in range(ON_SERVER):
                lmtp.deliver("a@example.com", [USER], message(f"far {number}", Message_ID=f"<far{number}@x>"))
            for sub in ("cur", "new", "tmp"):
                (self.maildir / "INBOX" / sub).mkdir(parents=True)
            for number in range(IN_MAILDIR):
                flags = "F" if number < 7 else ""
                (self.maildir / "INBOX/cur" / f"170000{number:04}.near:2,S{flags}").write_bytes(
                    message(f"near {number}", Message_ID=f"<near{number}@x>").replace(b"\r\n", b"\n"))

            self.sync()
            self.assertEqual(len(self.local()), ON_SERVER + IN_MAILDIR)
            count, flagged = self.remote()
            self.assertEqual((count, len(flagged)), (ON_SERVER + IN_MAILDIR, 7))

            before = sorted(f.name for f in self.local())
            self.sync()
            self.assertEqual(sorted(f.name for f in self.local()), before, "the second sync changed something")
            self.assertEqual(self.remote()[0], ON_SERVER + IN_MAILDIR)

            with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:  # changes travel too
                client.login(USER, PASSWORD)
                client.select()
                client.store("1:10", "+FLAGS", r"(\Deleted)")
                client.expunge()
            next(f for f in self.local() if f.name.endswith("F") or "F" in f.name.split(":2,")[-1]).unlink()
            self.sync()
            self.assertEqual(len(self.local()), ON_SERVER + IN_MAILDIR - 11)
            self.assertEqual(self.remote()[0], ON_SERVER + IN_MAILDIR - 11)


if __name__ == "__main__":
    cases.main()
