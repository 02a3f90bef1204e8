#!/usr/bin/env python3
"""swaks, curl, imaplib, poplib: in by LMTP, out by IMAP and POP3, in clear, with STARTTLS and with TLS."""

import imaplib
import poplib
import subprocess
import tempfile

from common import PASSWORD, ServerCase, cases, message, trusting_tls
from wire import Lmtp

USER = "ann@example.com"


def run(*arguments, **options):
    return subprocess.run([str(a) for a in arguments], capture_output=True, timeout=60, **options)


class Swaks(ServerCase):
    def swaks(self, *more):
        return run("swaks", "--protocol", "LMTP", "--server", "127.0.0.1", "--port", self.server.lmtp_port,
                   "--from", "sender@example.com", "--helo", "client.example.com", *more)

    def test_delivers_a_message(self):
        done = self.swaks("--to", USER, "--header", "Subject: by swaks", "--body", "hello")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, PASSWORD)
            client.select()
            self.assertNotEqual(client.search(None, "SUBJECT", '"by swaks"')[1], [b""])

    def test_delivers_over_starttls(self):
        done = self.swaks("--to", USER, "--tls")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(b"TLS started", done.stdout)

    def test_is_told_of_an_unknown_recipient_before_the_data(self):
        done = self.swaks("--to", "nobody@example.com")
        self.assertEqual(done.returncode, 24, done.stdout + done.stderr)
        self.assertIn(b"550 5.1.1", done.stdout)


class Curl(ServerCase):
    def curl(self, url, *more):
        return run("curl", "--silent", "--show-error", "--insecure", "--max-time", "30", "--user", f"{USER}:{PASSWORD}",
                   *more, url)

    def setUp(self):
        self.sent = message("for curl")
        lmtp = Lmtp(self.server.lmtp_port)
        lmtp.deliver("sender@example.com", [USER], self.sent)
        lmtp.close()

    def test_reads_by_imap(self):
        for url in (f"imap://127.0.0.1:{self.server.imap_port}", f"imaps://127.0.0.1:{self.server.imaps_port}"):
            with self.subTest(url):
                listed = self.curl(url)
                self.assertEqual(listed.returncode, 0, listed.stderr)
                self.assertIn(b"INBOX", listed.stdout)
                fetched = self.curl(url + "/INBOX;MAILINDEX=1")
                self.assertEqual(fetched.returncode, 0, fetched.stderr)
                self.assertTrue(fetched.stdout.endswith(self.sent), fetched.stdout)

    def test_reads_by_imap_over_starttls(self):
        done = self.curl(f"imap://127.0.0.1:{self.server.imap_port}/INBOX;MAILINDEX=1", "--ssl-reqd")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith(self.sent))

    def test_appends_by_imap(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(message("appended"))
            file.flush()
            done = self.curl(f"imaps://127.0.0.1:{self.server.imaps_port}/Drafts", "--upload-file", file.name)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = self.curl(f"imaps://127.0.0.1:{self.server.imaps_port}/Drafts", "--request", "SEARCH SUBJECT appended")
        self.assertRegex(found.stdout, rb"\* SEARCH \d")

    def test_reads_by_pop3(self):
        for url, more in ((f"pop3://127.0.0.1:{self.server.pop3_port}/1", ()),
                          (f"pop3://127.0.0.1:{self.server.pop3_port}/1", ("--ssl-reqd",)),
                          (f"pop3s://127.0.0.1:{self.server.pop3s_port}/1", ())):
            with self.subTest(url, more=more):
                done = self.curl(url, *more)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertTrue(done.stdout.endswith(self.sent), done.stdout)


class Imaplib(ServerCase):
    def open(self, tls=False):
        client = (imaplib.IMAP4_SSL("127.0.0.1", self.server.imaps_port, ssl_context=trusting_tls()) if tls
                  else imaplib.IMAP4("127.0.0.1", self.server.imap_port))
        client.login(USER, PASSWORD)
        return client

    def test_does_the_daily_work(self):
        with self.open(tls=True) as client:
            self.assertEqual(client.create("Work/Projects")[0], "OK")
            self.assertEqual(client.append("Work/Projects", r"(\Seen)", None, message("daily", "x" * 5000))[0], "OK")
            self.assertEqual(client.select("Work/Projects"), ("OK", [b"1"]))
            status, found = client.uid("SEARCH", None, "SEEN", "SUBJECT", "daily")
            self.assertEqual((status, found), ("OK", [b"1"]))
            status, data = client.uid("FETCH", "1", "(FLAGS RFC822.SIZE BODY.PEEK[])")
            self.assertEqual(data[0][1], message("daily", "x" * 5000))
            self.assertEqual(client.uid("STORE", "1", "+FLAGS", r"(\Flagged $Label1)")[0], "OK")
            self.assertEqual(client.uid("COPY", "1", '"Sent Mail"')[0], "OK")
            self.assertEqual(client.uid("STORE", "1", "+FLAGS", r"(\Deleted)")[0], "OK")
            self.assertEqual(client.expunge(), ("OK", [b"1"]))
            self.assertEqual(client.select('"Sent Mail"'), ("OK", [b"1"]))
            self.assertEqual(client.delete("Work/Projects")[0], "OK")

    def test_sees_another_sessions_delivery_in_idle(self):
        with self.open() as client:
            client.select()
            client.send(b"i IDLE\r\n")
            self.assertTrue(client.readline().startswith(b"+"))
            lmtp = Lmtp(self.server.lmtp_port)
            lmtp.deliver("sender@example.com", [USER], message("while idle"))
            client.sock.settimeout(10)
            self.assertRegex(client.readline(), rb"\* \d+ EXISTS")
            client.send(b"DONE\r\n")
            while not client.readline().startswith(b"i OK"):
                pass

    def test_is_refused_with_a_wrong_password(self):
        client = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        with self.assertRaises(imaplib.IMAP4.error):
            client.login(USER, "wrong")
        client.shutdown()

    def test_logs_in_by_authenticate_plain_over_starttls(self):
        client = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        client.starttls(trusting_tls())
        self.assertEqual(client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())[0], "OK")
        client.logout()


class Poplib(ServerCase):
    def test_lists_reads_and_deletes(self):
        lmtp = Lmtp(self.server.lmtp_port)
        for number in range(3):
            lmtp.deliver("sender@example.com", [USER], message(f"pop {number}", ".dot\r\n..two"))
        client = poplib.POP3_SSL("127.0.0.1", self.server.pop3s_port, context=trusting_tls())
        client.user(USER)
        client.pass_(PASSWORD)
        self.assertEqual(client.stat()[0], 3)
        self.assertEqual(len(client.uidl()[1]), 3)
        _, lines, _ = client.retr(1)
        self.assertTrue(b"\r\n".join(lines).endswith(b"\r\n\r\n.dot\r\n..two"))
        self.assertIn(b"Subject: pop 1", client.top(2, 0)[1])
        client.dele(1)
        client.quit()
        client = poplib.POP3("127.0.0.1", self.server.pop3_port)
        client.stls(trusting_tls())
        client.user(USER)
        client.pass_(PASSWORD)
        self.assertEqual(client.stat()[0], 2)
        client.quit()


if __name__ == "__main__":
    cases.main()
