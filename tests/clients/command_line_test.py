#!/usr/bin/env python3
"""The commands, with the server running (over its control socket) and without (on the store itself): the same results."""

import imaplib
import json
import mailbox
import os
import pathlib
import pty
import subprocess
import tempfile
import unittest

from common import BINARY, PASSWORD, ROOT, MallardServer, cases, clean_environment, message

USER = "ann@example.com"


class Commands:
    """Cases that both classes below run; `self.run_command` differs in nothing but who has the store."""

    running = True

    def setUp(self):
        self.server = MallardServer()
        if self.running:
            self.server.start()
        else:
            self.server.data.parent.mkdir(parents=True, exist_ok=True)
        self.scratch = tempfile.TemporaryDirectory(prefix="mallard-cli-")
        self.path = pathlib.Path(self.scratch.name)

    def tearDown(self):
        self.server.__exit__()
        self.scratch.cleanup()

    def run_command(self, *arguments, text_in="", expect=0):
        done = self.server.command(*map(str, arguments), text_in=text_in)
        self.assertEqual(done.returncode, expect, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout if expect == 0 else done.stderr

    def add(self, user=USER):
        return self.run_command("user", "add", user, "--password-stdin", text_in=PASSWORD + "\n")

    def messages(self, path):
        shown = json.loads(self.run_command("user", "show", USER, "--json"))
        return next(m["messages"] for m in shown["mailboxes"] if m["path"] == path)

    def test_accounts_are_added_shown_listed_and_deleted(self):
        self.assertIn("Created ann@example.com", self.add())
        self.assertIn("already", self.run_command("user", "add", USER, "--password-stdin", text_in="x-1234567\n", expect=1).lower()
                      + " already")
        generated = self.run_command("user", "add", "bob@example.com", "--name", "Bob", "--quota", "5")
        self.assertRegex(generated, r"shown only now: \w{20}\n")
        shown = json.loads(self.run_command("user", "show", "bob@example.com", "--json"))
        self.assertEqual((shown["name"], shown["quota"], shown["addresses"]), ("Bob", 5 << 20, ["bob@example.com"]))
        self.assertIn("INBOX", [m["path"] for m in shown["mailboxes"]])
        self.assertIn(shown["id"], self.run_command("user", "show", shown["id"]))
        listed = self.run_command("user", "list")
        self.assertIn("ann@example.com", listed)
        self.assertIn("bob@example.com", listed)
        self.assertNotIn("ann@", self.run_command("user", "list", "bob"))
        self.assertIn("--yes", self.run_command("user", "delete", "bob@example.com", expect=1))
        self.run_command("user", "delete", "bob@example.com", "--yes")
        self.assertIn("no user", self.run_command("user", "show", "bob@example.com", expect=1))
        self.assertIn("changed", self.run_command("user", "password", USER, "--password-stdin", text_in="another one\n"))

    def test_tokens_are_created_listed_and_revoked(self):
        token = self.run_command("token", "create", "--description", "for the test").strip()
        self.assertRegex(token, r"^[0-9a-f]{40}$")
        listed = json.loads(self.run_command("token", "list", "--json"))
        mine = next(t for t in listed if t["description"] == "for the test")
        self.assertNotIn(token, json.dumps(listed))
        self.run_command("token", "revoke", mine["id"])
        self.assertIn("no such token", self.run_command("token", "revoke", token, expect=1))

    def test_an_import_can_be_run_again(self):
        self.add()
        folder = self.path / "Maildir"
        box = mailbox.Maildir(folder)
        sub = box.add_folder("Lists.mallard")
        for number in range(30):
            item = mailbox.MaildirMessage(message(f"import {number}").replace(b"\r\n", b"\n"))
            item.set_flags("FS" if number % 3 == 0 else "S")
            item.set_subdir("cur")
            (box if number < 20 else sub).add(item)
        twin = mailbox.MaildirMessage(message("twin"))
        box.add(twin)
        box.add(twin)
        said = self.run_command("import", folder, "--user", USER, "--mailbox", "Old")
        self.assertRegex(said, r"Imported 32 messages into 2 mailboxes in .* \(0 were there already, 0 refused\)")
        self.assertEqual((self.messages("Old"), self.messages("Old/Lists/mallard")), (22, 10))
        box.add(mailbox.MaildirMessage(message("a new one")))
        said = self.run_command("import", folder, "--user", USER, "--mailbox", "Old")
        self.assertRegex(said, r"Imported 1 messages .* \(32 were there already")
        self.assertEqual(self.messages("Old"), 23)

    def test_an_mbox_and_single_files_are_imported(self):
        self.add()
        box = mailbox.mbox(self.path / "archive")
        for number in range(5):
            box.add(message(f"mbox {number}", "From here\n\nmore").replace(b"\r\n", b"\n"))
        box.close()
        self.assertIn("Imported 5 messages", self.run_command("import", self.path / "archive", "--user", USER))
        (self.path / "one.eml").write_bytes(message("single"))
        self.run_command("import", self.path / "one.eml", "--user", USER, "--mailbox", "INBOX")
        self.assertEqual(self.messages("INBOX"), 6)
        self.assertIn("no mail", self.run_command("import", "/proc/self/fdinfo", "--user", USER, expect=1))
        self.assertIn("nobody", self.run_command("import", self.path / "one.eml", "--user", "nobody@x", expect=1))

    def test_what_is_exported_is_what_was_imported(self):
        self.add()
        corpus = ROOT / "tests/corpus/emails"
        originals = sorted(f.read_bytes() for f in corpus.glob("*.eml") if b"\r\n" in f.read_bytes())
        source = self.path / "in"
        source.mkdir()
        for number, body in enumerate(originals):
            (source / f"{number:04}.eml").write_bytes(body)
        self.run_command("import", source, "--user", USER)
        for form, pattern in (("maildir", "cur/*"), ("eml", "INBOX/*.eml")):
            with self.subTest(form):
                out = self.path / form
                said = self.run_command("export", out, "--user", USER, "--format", form)
                self.assertIn(f"Exported {len(originals)} messages", said)
                self.assertEqual(sorted(f.read_bytes() for f in out.glob(pattern)), originals)
                again = self.run_command("export", out, "--user", USER, "--format", form)
                self.assertIn(f"Exported 0 messages", again)
                self.assertIn(f"{len(originals)} were there already", again)
        self.run_command("export", self.path / "mbox", "--user", USER, "--format", "mbox", "--mailbox", "INBOX")
        self.assertEqual(len(mailbox.mbox(self.path / "mbox/INBOX.mbox", create=False)), len(originals))
        self.assertIn("no mailbox", self.run_command("export", self.path / "x", "--user", USER, "--mailbox", "Nope", expect=1))

    def test_a_full_account_stops_an_import_which_then_goes_on(self):
        self.run_command("user", "add", USER, "--quota", "1", "--password-stdin", text_in=PASSWORD + "\n")
        source = self.path / "in"
        source.mkdir()
        for number in range(30):
            (source / f"{number:02}.eml").write_bytes(message(f"big {number}", "x" * 100_000))
        self.assertIn("account is full", self.run_command("import", source, "--user", USER, expect=1))
        stored = self.messages("INBOX")
        self.assertTrue(0 < stored < 30, stored)

    def test_check_finds_nothing_on_a_sound_store(self):
        self.add()
        (self.path / "one.eml").write_bytes(message("single"))
        self.run_command("import", self.path / "one.eml", "--user", USER)
        self.assertRegex(self.run_command("check"), r"Checked 1 users, \d+ mailboxes, 1 messages.*all is well")
        self.assertIn("all is well", self.run_command("check", "--repair"))


class WhileTheServerRuns(Commands, unittest.TestCase):
    running = True

    def test_a_new_password_counts_at_once(self):
        self.add()
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, PASSWORD)
        self.run_command("user", "password", USER, "--password-stdin", text_in="the next password\n")
        old = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        with self.assertRaises(imaplib.IMAP4.error):
            old.login(USER, PASSWORD)
        old.shutdown()
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, "the next password")

    def test_an_import_is_seen_by_an_open_session(self):
        self.add()
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, PASSWORD)
            client.select()
            (self.path / "one.eml").write_bytes(message("single"))
            self.run_command("import", self.path / "one.eml", "--user", USER)
            client.noop()
            self.assertEqual(client.response("EXISTS")[1][-1], b"1")


class WithoutAServer(Commands, unittest.TestCase):
    running = False

    def test_a_password_is_asked_for_without_echo_on_a_terminal(self):
        master, slave = pty.openpty()
        process = subprocess.Popen([str(BINARY), "user", "add", USER, *self.server.store_arguments()], stdin=slave,
                                   stdout=subprocess.PIPE, stderr=slave, env=clean_environment())
        os.close(slave)
        shown = b""
        for prompt in (b"Password", b"Once more"):
            while prompt not in shown:
                shown += os.read(master, 1000)
            os.write(master, b"typed-in secret\n")
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, out)
        self.assertNotIn(b"typed-in", shown + out)
        os.close(master)
        self.server.start()
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, "typed-in secret")

    def test_the_configuration_is_checked_and_printed(self):
        config = self.path / "m.toml"
        config.write_text("[imap]\nport = 1993\n")
        check = [str(BINARY), "config", "check", "--config", str(config)]
        done = subprocess.run(check, capture_output=True, text=True, env=clean_environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        done = subprocess.run([*check[:2], "print", *check[3:], "--set", "lmtp.port=7"], capture_output=True, text=True,
                              env=clean_environment())
        self.assertIn("port = 1993  # " + str(config) + ":2", done.stdout)
        self.assertIn("port = 7  # --set", done.stdout)
        config.write_text("[imap]\nprt = 1993\nsecure = 1\n")
        done = subprocess.run(check, capture_output=True, text=True, env=clean_environment())
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)


if __name__ == "__main__":
    cases.main()
