#!/usr/bin/env python3
"""Start, stop, reload: each error at start is one clear line and exit 1; signals do what the operator expects."""

import imaplib
import os
import pathlib
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import time
import unittest

from common import (BINARY, PASSWORD, STOP_SECONDS_MAX, MallardServer, ServerCase, cases, clean_environment, free_ports,
                    message, trusting_tls)
from wire import Lmtp

USER = "ann@example.com"
QUIET = ["--set", "imap.port=0", "--set", "imap.starttlsPort=0", "--set", "pop3.port=0", "--set", "pop3.starttlsPort=0",
         "--set", "lmtp.port=0", "--set", "api.port=0"]


def serve(directory, *more, environment=None):
    """Runs `serve` where it is expected to fail; returns the finished process."""
    return subprocess.run([str(BINARY), "serve", "--data", str(directory), *QUIET, *map(str, more)], capture_output=True,
                          text=True, timeout=30, env={**clean_environment(), **(environment or {})})


class StartErrors(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="mallard-start-")
        self.path = pathlib.Path(self.directory.name)

    def tearDown(self):
        self.directory.cleanup()

    def check(self, done, *words, lines=1):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        said = [line for line in done.stderr.splitlines() if line.startswith("mallard: ")]
        self.assertEqual(len(said), lines, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_a_taken_port_is_named(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            self.check(serve(self.path / "data", "--set", f"imap.port={port}"), f"{port}")

    def test_a_bad_address_is_named(self):
        self.check(serve(self.path / "data", "--set", "lmtp.host=192.0.2.99"), "192.0.2.99")

    def test_mistakes_in_the_file_are_all_named_with_their_lines(self):
        config = self.path / "mallard.toml"
        config.write_text('[imap]\nprot = 1\nsecure = "yes"\n')
        done = serve(self.path / "data", "--config", config)
        self.check(done, f"{config}:2:", 'did you mean "imap.port"', f"{config}:3:", lines=2)

    def test_a_missing_file_is_named(self):
        self.check(serve(self.path / "data", "--config", self.path / "none.toml"), "none.toml")

    def test_a_wrong_environment_variable_is_named(self):
        self.check(serve(self.path / "data", environment={"MALLARD_IMAP_PROT": "1"}), "MALLARD_IMAP_PROT")

    def test_a_data_directory_that_cannot_be_made_is_named(self):
        self.check(serve("/proc/nowhere/data"), "/proc/nowhere/data", "--data")

    def test_a_certificate_without_key_is_a_mistake(self):
        self.check(serve(self.path / "data", "--set", "tls.cert=/tmp/x.pem"), "tls.key")

    def test_a_certificate_that_cannot_be_read_is_named(self):
        self.check(serve(self.path / "data", "--set", "tls.cert=/nowhere/c.pem", "--set", "tls.key=/nowhere/k.pem"),
                   "/nowhere/")

    def test_a_wrong_command_line_exits_with_2(self):
        for arguments in (["serve", "--nonsense"], ["nonsense"], ["import"], []):
            done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 2, arguments)

    def test_help_is_enough_to_start(self):
        done = subprocess.run([str(BINARY), "--help"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0)
        for word in ("mallard serve", "user add", "import", "export", "check", "config", "token"):
            self.assertIn(word, done.stdout)


class SecondServer(ServerCase):
    def test_is_refused_on_the_same_data(self):
        done = serve(self.server.data)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use by another mallard", done.stderr)
        self.assertIn(str(self.server.process.pid), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)


class FirstStart(ServerCase):
    def mode(self, name):
        return stat.S_IMODE(os.stat(self.server.data / name).st_mode)

    def test_makes_private_files_and_says_what_is_next(self):
        self.assertEqual(self.mode("admin-token"), 0o600)
        self.assertEqual(self.mode("control.sock"), 0o600)
        self.assertEqual(self.mode("tls/key.pem"), 0o600)
        self.assertEqual(self.mode(""), 0o700)
        said = self.server.log_path.read_text()
        for word in (str(self.server.imaps_port), str(self.server.api_port), "admin-token", "user add"):
            self.assertIn(word, said)

    def test_never_writes_a_password_or_a_message_to_the_log(self):
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, PASSWORD)
            client.append("INBOX", None, None, message("s", "very private text"))
        said = self.server.log_path.read_text()
        self.assertNotIn(PASSWORD, said)
        self.assertNotIn("very private text", said)
        self.assertNotIn(self.server.token, said)


class Signals(unittest.TestCase):
    def setUp(self):
        self.server = MallardServer()
        self.server.start()
        done = self.server.command("user", "add", USER, "--password-stdin", text_in=PASSWORD + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)

    def tearDown(self):
        self.server.__exit__()

    def test_sigterm_finishes_what_is_in_flight_and_ends_in_ten_seconds(self):
        idle = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        idle.login(USER, PASSWORD)
        lmtp = Lmtp(self.server.lmtp_port)
        lmtp.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<" + USER.encode() + b">\r\nDATA\r\n")
        for code in (b"250", b"250", b"354"):
            lmtp.reply(code)
        start = time.monotonic()
        self.server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        lmtp.send(message("in flight") + b".\r\n")
        self.assertEqual(lmtp.reply(b"250")[:3], b"250")
        self.assertEqual(self.server.process.wait(15), 0)
        self.assertLess(time.monotonic() - start, STOP_SECONDS_MAX)
        self.server.start()
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(USER, PASSWORD)
            self.assertEqual(client.select()[1], [b"1"])

    def test_sigterm_ends_at_once_when_nothing_is_in_flight(self):
        idle = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        idle.login(USER, PASSWORD)
        start = time.monotonic()
        self.assertEqual(self.server.stop(), 0)
        self.assertLess(time.monotonic() - start, 5)
        self.assertIn(b"BYE", idle.readline())

    def test_sighup_changes_the_certificate_and_keeps_connections(self):
        def certificate():
            with socket.create_connection(("127.0.0.1", self.server.imaps_port)) as plain, \
                    trusting_tls().wrap_socket(plain) as tls:
                return tls.getpeercert(binary_form=True)

        open_before = imaplib.IMAP4_SSL("127.0.0.1", self.server.imaps_port, ssl_context=trusting_tls())
        open_before.login(USER, PASSWORD)
        first = certificate()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=renewed.example.com", "-days", "2", "-keyout", str(self.server.data / "tls/key.pem"),
                        "-out", str(self.server.data / "tls/cert.pem")], check=True, capture_output=True)
        self.assertEqual(certificate(), first)
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while certificate() == first and time.monotonic() < end:
            time.sleep(0.05)
        self.assertNotEqual(certificate(), first)
        self.assertEqual(open_before.noop()[0], "OK")

    def test_sighup_with_a_broken_certificate_keeps_the_old_one(self):
        (self.server.data / "tls/cert.pem").write_text("broken")
        self.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while "reload failed" not in self.server.log_path.read_text():
            self.assertLess(time.monotonic(), end, self.server.log_path.read_text())
            time.sleep(0.05)
        imaplib.IMAP4_SSL("127.0.0.1", self.server.imaps_port, ssl_context=trusting_tls()).logout()


class HangingDisk(unittest.TestCase):
    """What hangs cannot keep the process: its pool jobs never end here."""

    def test_sigterm_ends_the_process_in_ten_seconds_though_writes_hang(self):
        with tempfile.TemporaryDirectory(prefix="mallard-hang-") as directory:
            hang = pathlib.Path(directory) / "hang"
            with MallardServer(data=directory, environment={"LD_PRELOAD": str(BINARY.with_name("hanging_disk.so")),
                                                            "MALLARD_TEST_HANGING_DISK": str(hang)}) as server:
                server.add_user(USER, PASSWORD)
                hang.touch()
                lmtp = Lmtp(server.lmtp_port)
                lmtp.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<" + USER.encode() + b">\r\nDATA\r\n")
                for code in (b"250", b"250", b"354"):
                    lmtp.reply(code)
                lmtp.send(message("never stored") + b".\r\n")
                start = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(15)
                took = time.monotonic() - start
                self.assertLess(took, 10.2)
                self.assertGreater(took, 8, "nothing hung: the test has lost its point")
                self.assertIn("not everything ended in time", server.log_path.read_text())
                hang.unlink()
                server.start()
                self.assertEqual(server.check(), [])


class Reload(unittest.TestCase):
    def test_sighup_reads_the_file_again_and_reopens_the_log(self):
        with tempfile.TemporaryDirectory(prefix="mallard-reload-") as directory:
            config = pathlib.Path(directory) / "mallard.toml"
            log = pathlib.Path(directory) / "mallard.log"
            names = ("imap.port", "imap.starttlsPort", "pop3.port", "pop3.starttlsPort", "lmtp.port", "api.port")
            ports = dict(zip(names, free_ports(len(names))))
            lines = "".join(f"{name} = {port}\n" for name, port in ports.items())
            config.write_text(f'dataDir = "{directory}/data"\nlog.file = "{log}"\n{lines}')
            process = subprocess.Popen([str(BINARY), "serve", "--config", str(config)], stdout=subprocess.PIPE, text=True,
                                       env=clean_environment())
            try:
                self.assertIn("serves", process.stdout.readline())
                log.rename(log.with_suffix(".old"))
                config.write_text(config.read_text().replace(f"lmtp.port = {ports['lmtp.port']}", "lmtp.port = 1")
                                  + 'log.format = "json"\n')
                process.send_signal(signal.SIGHUP)
                end = time.monotonic() + 10
                while time.monotonic() < end and "reloaded" not in (log.read_text() if log.exists() else ""):
                    time.sleep(0.05)
                said = log.read_text()
                self.assertIn('"message":"configuration and certificates reloaded"', said)
                self.assertIn("lmtp.port", said)
            finally:
                process.terminate()
                process.wait(15)
                process.stdout.close()


if __name__ == "__main__":
    cases.main()
