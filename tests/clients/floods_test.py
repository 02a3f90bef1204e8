#!/usr/bin/env python3
"""Too many peers, and peers who are too slow: limits per address and user, and every timeout, set low here. Others are
served meanwhile, and the memory stays flat."""

import imaplib
import selectors
import socket
import threading
import time

from common import BINARY, PASSWORD, ServerCase, cases, message
from wire import Lmtp, Pop3

USER = "ann@example.com"
SECONDS_MAX = 10
GROWTH_MAX_KIB = (64 if "release" in str(BINARY) else 512) * 1024  # a sanitizer keeps what was freed
LOGIN = f'a LOGIN {USER} "{PASSWORD}"\r\n'.encode()
POP3_LOGIN = f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode()
DATA = b"LHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\nSubject: slow\r\n\r\n"
POST = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

# name, port, what is sent at once, whether a byte a second follows, the last words.
SLOW = [
    ("IMAP: silent", "imap_port", b"", False, rb"\* BYE Idle timeout"),
    ("IMAP: a slow command", "imap_port", b"a NOOP", True, rb"\* BYE Idle timeout"),
    ("IMAP: a slow literal", "imap_port", b"a LOGIN {100+}\r\n", True, rb"\* BYE Idle timeout"),
    ("IMAP: a slow SASL response", "imap_port", b"a AUTHENTICATE PLAIN\r\n", True, rb"\* BYE Idle timeout"),
    ("IMAP: silent after STARTTLS", "imap_port", b"a STARTTLS\r\n", False, rb"a OK"),
    ("IMAP: silent after login", "imap_port", LOGIN, False, rb"\* BYE Idle timeout"),
    ("IMAP: a slow command after login", "imap_port", LOGIN + b"b NOOP", True, rb"\* BYE Idle timeout"),
    ("IMAP: a slow message", "imap_port", LOGIN + b"b APPEND INBOX {1000+}\r\n", True, rb"\* BYE Idle timeout"),
    ("IMAP: an unterminated literal", "imap_port", LOGIN + b"b APPEND INBOX {1000}\r\nshort", False,
     rb"\* BYE Idle timeout"),
    ("IMAP: a refused literal, slowly", "imap_port", b"a LOGIN {2000+}\r\n", True, rb"\* BYE Idle timeout"),
    ("POP3: silent", "pop3_port", b"", False, rb"-ERR Disconnected for inactivity"),
    ("POP3: a slow command", "pop3_port", b"USER ", True, rb"-ERR Disconnected for inactivity"),
    ("POP3: silent after STLS", "pop3_port", b"STLS\r\n", False, rb"\+OK"),
    ("POP3: silent after login", "pop3_port", POP3_LOGIN, False, rb"-ERR Disconnected for inactivity"),
    ("POP3: a slow command after login", "pop3_port", POP3_LOGIN + b"RETR", True, rb"-ERR Disconnected for inactivity"),
    ("LMTP: silent", "lmtp_port", b"", False, rb"421 4\.4\.2 "),
    ("LMTP: a slow command", "lmtp_port", b"LHLO ", True, rb"421 4\.4\.2 "),
    ("LMTP: silent in DATA", "lmtp_port", DATA, False, rb"421 4\.4\.2 "),
    ("LMTP: slow in DATA", "lmtp_port", DATA, True, rb"421 4\.4\.2 "),
    ("HTTP: silent", "api_port", b"", False, rb"\A\Z"),
    ("HTTP: a slow header", "api_port", b"GET / HT", True, rb"HTTP/1\.1 408 "),
    ("HTTP: a slow body", "api_port", POST + b"Content-Length: 100\r\n\r\n", True, rb"HTTP/1\.1 408 "),
    ("HTTP: a slow chunk", "api_port", POST + b"Transfer-Encoding: chunked\r\n\r\n40\r\n", True, rb"HTTP/1\.1 408 "),
    ("HTTP: slow chunk extensions", "api_port", POST + b"Transfer-Encoding: chunked\r\n\r\n1;", True,
     rb"HTTP/1\.1 408 "),
    ("TLS: silent", "imaps_port", None, False, rb"\A\Z"),
    ("TLS: a slow handshake", "pop3s_port", b"\x16\x03\x01\x02\x00", True, rb"\A"),
]


class Floods(ServerCase):
    settings = {"server.connectionsPerAddressMax": 40, "imap.maxConnections": 5}

    def test_too_many_connections_of_one_address_are_refused_by_every_service(self):
        """... and another address is served meanwhile."""
        server = self.server
        for port, good, refusal in ((server.pop3_port, b"+OK", b"-ERR [SYS/TEMP] Too many connections\r\n"),
                                    (server.lmtp_port, b"220", b"421 4.3.2 Too many connections\r\n"),
                                    (server.imap_port, b"* OK", b"* BYE Too many connections\r\n")):
            with self.subTest(good):
                peers = [socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX) for _ in range(60)]
                greetings = [peer.recv(200) for peer in peers]
                self.assertEqual(sum(g.startswith(good) for g in greetings), 40)
                self.assertEqual(sum(g in (refusal, b"") for g in greetings), 20)
                with socket.create_connection(("127.0.0.1", port), SECONDS_MAX, ("127.0.0.2", 0)) as other:
                    self.assertTrue(other.recv(200).startswith(good))
                for peer in peers:
                    peer.close()
        for port in (server.api_port, server.imaps_port, server.pop3s_port):
            with self.subTest(port):
                peers = [socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX) for _ in range(60)]
                closed = 0
                for peer in peers:
                    peer.settimeout(0.2)
                    try:
                        closed += peer.recv(1) == b""
                    except TimeoutError:
                        pass
                    except ConnectionError:
                        closed += 1
                self.assertEqual(closed, 20)
                for peer in peers:
                    peer.close()

    def test_too_many_connections_of_one_address_are_refused_politely(self):
        peers = [socket.create_connection(("127.0.0.1", self.server.imap_port), timeout=SECONDS_MAX) for _ in range(60)]
        greetings = [peer.recv(200) for peer in peers]
        self.assertEqual(sum(g.startswith(b"* OK") for g in greetings), 40)
        self.assertTrue(all(g.startswith(b"* BYE") or g == b"" for g in greetings if not g.startswith(b"* OK")))
        for peer in peers:
            peer.close()
        end = time.monotonic() + SECONDS_MAX
        while time.monotonic() < end:
            try:
                with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
                    client.login(USER, PASSWORD)
                    return
            except (imaplib.IMAP4.error, OSError):
                time.sleep(0.1)
        self.fail("the server does not take connections again")

    def test_too_many_sessions_of_one_user_are_refused(self):
        clients, refused = [], None
        for _ in range(6):
            client = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
            clients.append(client)
            try:
                client.login(USER, PASSWORD)
            except imaplib.IMAP4.error as error:
                refused = error
        self.assertIn("[ALERT] Too many simultaneous connections.", str(refused))
        self.add_user("other@example.com")
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as other:  # everyone has a limit of their own
            other.login("other@example.com", PASSWORD)
        for client in clients:
            client.shutdown()
        end = time.monotonic() + SECONDS_MAX
        while True:  # the places come back
            try:
                with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
                    client.login(USER, PASSWORD)
                    return
            except imaplib.IMAP4.error:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.1)

    def test_guessing_passwords_is_slowed_down(self):
        self.add_user("victim@example.com")
        said = b""
        for _ in range(14):
            client = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
            try:
                client.login("victim@example.com", "guess")
            except imaplib.IMAP4.error as error:
                said = str(error).encode()
            client.shutdown()
        client = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        with self.assertRaises(imaplib.IMAP4.error):  # even the right one, for a while
            client.login("victim@example.com", PASSWORD)
        client.shutdown()
        self.assertTrue(said)


class SlowPeer:
    """One row of SLOW on a socket, until the server ends it."""

    def __init__(self, port, first, drips):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX)
        self.drips, self.answer, self.started, self.seconds = drips, b"", time.monotonic(), None
        if first:
            self.socket.sendall(first)
        self.socket.setblocking(False)

    def ended(self):
        self.seconds = time.monotonic() - self.started
        self.socket.close()

    def read(self):
        """False: the server has closed it."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self.answer += data
        return data != b""

    def drip(self):
        try:
            if self.drips:
                self.socket.send(b"x")
        except OSError:
            pass  # it is closed: read() will say so


def wait_for_ends(peers, seconds):
    """A byte a second to each; returns those that are still open after so long."""
    selector = selectors.DefaultSelector()
    for peer in peers:
        selector.register(peer.socket, selectors.EVENT_READ, peer)
    end, next_drip, left = time.monotonic() + seconds, time.monotonic() + 1, set(peers)
    while left and time.monotonic() < end:
        for key, _ in selector.select(0.1):
            if not key.data.read():
                selector.unregister(key.data.socket)
                key.data.ended()
                left.discard(key.data)
        if time.monotonic() >= next_drip:
            next_drip += 1
            for peer in left:
                peer.drip()
    return left


class Slow(ServerCase):
    settings = {"imap.loginTimeout": 3, "imap.idleTimeout": 3, "imap.commandTimeout": 3, "imap.maxConnections": 1000,
                "pop3.loginTimeout": 3, "pop3.idleTimeout": 3, "lmtp.idleTimeout": 3, "lmtp.dataTimeout": 3,
                "api.headerTimeout": 3, "api.bodyTimeout": 3, "api.idleTimeout": 3, "server.handshakeTimeout": 3}

    def serve_meanwhile(self, stop, slowest):
        """One good client of each service after the other; the longest that one of them took."""
        while not stop.is_set():
            start = time.monotonic()
            with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
                client.login(USER, PASSWORD)
                client.select()
                client.append("INBOX", None, None, message("meanwhile"))
            lmtp = Lmtp(self.server.lmtp_port)
            lmtp.deliver("a@example.com", [USER], message("meanwhile"))
            lmtp.close()
            pop3 = Pop3(self.server.pop3_port, USER, PASSWORD)
            pop3.command("STAT")
            pop3.close()
            self.server.api("GET", "/users")
            slowest.append(time.monotonic() - start)

    def test_slow_peers_are_ended_and_hold_up_nobody(self):
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:  # hashes the password once
            client.login(USER, PASSWORD)
        before = self.server.memory_kib()
        stop, durations = threading.Event(), []
        good = threading.Thread(target=self.serve_meanwhile, args=(stop, durations))
        good.start()
        try:
            peers = [(name, words, SlowPeer(getattr(self.server, port), first, drips))
                     for name, port, first, drips, words in SLOW * 10]
            left = wait_for_ends([peer for _, _, peer in peers], 2 * SECONDS_MAX)
        finally:
            stop.set()
            good.join()
        for name, words, peer in peers:
            with self.subTest(name):
                self.assertNotIn(peer, left, "it was never ended")
                self.assertLess(peer.seconds, SECONDS_MAX)
                self.assertRegex(peer.answer, words)
        self.assertTrue(durations, "nobody else was served")
        self.assertLess(max(durations), 5)
        self.assertLess(self.server.memory_kib() - before, GROWTH_MAX_KIB, "the memory grew")
        self.assertIsNone(self.server.process.poll(), "the server died")


if __name__ == "__main__":
    cases.main()
