#!/usr/bin/env python3
"""What a hostile or broken peer sends: the server says BAD, NO or 5xx or closes, in under ten seconds; it goes on
serving others, and its memory stays flat."""

import imaplib
import json
import re
import socket
import time

from common import BINARY, PASSWORD, ServerCase, cases, message, trusting_tls
from mallard_server import ApiError
from wire import Lmtp

USER = "ann@example.com"
SECONDS_MAX = 10
GROWTH_MAX_KIB = (64 if "release" in str(BINARY) else 512) * 1024  # a sanitizer keeps what was freed
LOGIN = f'a LOGIN {USER} "{PASSWORD}"\r\n'.encode()

# name, what is sent after the greeting, what some line of the answer must match (None: closing is answer enough).
IMAP = [
    ("a line without end", b"a NOOP " + b"x" * 100_000, None),
    ("a line longer than allowed", b"a NOOP " + b"x" * 100_000 + b"\r\nb NOOP\r\n", rb"(BAD|BYE)"),
    ("no tag", b"\r\n", rb"(BAD|BYE)"),
    ("only a tag", b"a\r\n", rb"a BAD|\* BAD"),
    ("a tag with a plus", b"a+ NOOP\r\n", rb"BAD"),
    ("an unknown command", b"a FROBNICATE\r\n", rb"a BAD"),
    ("binary", bytes(range(256)) * 4 + b"\r\n", rb"BAD"),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", rb"BAD"),
    ("a command in the wrong state", b"a SELECT INBOX\r\n", rb"a (BAD|NO)"),
    ("FETCH without SELECT", LOGIN + b"b FETCH 1 FLAGS\r\n", rb"b (BAD|NO)"),
    ("a literal that is too large", LOGIN + b"b APPEND INBOX {999999999999}\r\n", rb"b (BAD|NO)"),
    ("a literal beyond 64 bits", LOGIN + b"b APPEND INBOX {99999999999999999999999999}\r\n", rb"b (BAD|NO)"),
    ("a literal of eight-bit octets as a name", LOGIN + b"b CREATE {2+}\r\n\xff\xfe\r\n", rb"b (BAD|NO)"),
    ("invalid UTF-8 once it is enabled", LOGIN + b'e ENABLE UTF8=ACCEPT\r\nb CREATE "\xc3\x28"\r\n', rb"b (BAD|NO)"),
    ("an overlong UTF-8 form", LOGIN + b'e ENABLE UTF8=ACCEPT\r\nb CREATE "\xc0\xaf"\r\n', rb"b (BAD|NO)"),
    ("a surrogate in UTF-8", LOGIN + b'e ENABLE UTF8=ACCEPT\r\nb CREATE "\xed\xa0\x80"\r\n', rb"b (BAD|NO)"),
    ("a literal in the middle of a long line", b"a NOOP " + b"x" * 20_000 + b"{10+}\r\n", rb"(BAD|BYE)"),
    ("LOGIN after LOGIN", LOGIN + b"b LOGIN x y\r\n", rb"b (BAD|NO)"),
    ("STARTTLS after LOGIN", LOGIN + b"b STARTTLS\r\n", rb"b (BAD|NO)"),
    ("DONE without IDLE", LOGIN + b"DONE\r\n", rb"BAD"),
    ("a command inside IDLE", LOGIN + b"b IDLE\r\nc NOOP\r\n", rb"b BAD"),
    ("a negative literal", LOGIN + b"b APPEND INBOX {-1}\r\n", rb"b (BAD|NO)"),
    ("a large literal before login", b"a LOGIN {100000000}\r\n", rb"a (BAD|NO)"),
    ("a large LITERAL+ before login", b"a LOGIN {100000000+}\r\n", rb"(a (BAD|NO)|BYE)"),
    ("an unterminated literal", LOGIN + b"b APPEND INBOX {1000}\r\nshort", rb"\+"),
    ("an unterminated string", b'a LOGIN "ann\r\n', rb"a BAD"),
    ("ten thousand parentheses", LOGIN + b"s SELECT INBOX\r\nb FETCH 1 " + b"(" * 10_000 + b"\r\n", rb"b BAD"),
    ("nested search keys", LOGIN + b"s SELECT INBOX\r\nb SEARCH " + b"(" * 5_000 + b"ALL" + b")" * 5_000 + b"\r\n", rb"b BAD"),
    ("a chain of NOT", LOGIN + b"s SELECT INBOX\r\nb SEARCH " + b"NOT " * 3_000 + b"ALL\r\n", rb"b (BAD|OK)"),
    ("a sequence set of zero", LOGIN + b"s SELECT INBOX\r\nb FETCH 0 FLAGS\r\n", rb"b BAD"),
    ("a sequence number beyond 32 bits", LOGIN + b"s SELECT INBOX\r\nb FETCH 99999999999 FLAGS\r\n", rb"b BAD"),
    ("invalid modified UTF-7", LOGIN + b"b CREATE &Jjo\r\n", rb"b (BAD|NO)"),
    ("a lone surrogate in UTF-7", LOGIN + b"b CREATE &2AA-\r\n", rb"b (BAD|NO)"),
    ("eight-bit octets in a name", LOGIN + b'b CREATE "\xff\xfe"\r\n', rb"b (BAD|NO)"),
    ("NUL in a command", LOGIN + b"b SELECT IN\0BOX\r\n", rb"b (BAD|NO)|\* BAD"),
    ("a name with control characters", LOGIN + b'b CREATE "a\x01b"\r\n', rb"b (BAD|NO)"),
    ("a very deep mailbox", LOGIN + b"b CREATE " + b"/".join([b"x"] * 3_000) + b"\r\n", rb"b (BAD|NO)"),
    ("an impossible date", LOGIN + b's SELECT INBOX\r\nb SEARCH BEFORE 99-Foo-2026\r\n', rb"b BAD"),
    ("an unknown charset", LOGIN + b"s SELECT INBOX\r\nb SEARCH CHARSET KLINGON TEXT x\r\n", rb"b NO"),
    ("AUTHENTICATE with no base64", b"a AUTHENTICATE PLAIN\r\n!!!\r\n", rb"a (BAD|NO)"),
    ("AUTHENTICATE that is cancelled", b"a AUTHENTICATE PLAIN\r\n*\r\n", rb"a BAD"),
    ("STARTTLS with commands behind it", b"a STARTTLS\r\nb LOGIN x y\r\n", rb"a OK"),
    ("a hundred bad commands", b"x FOO\r\n" * 100, rb"BAD"),
]
POP3 = [
    ("a line without end", b"USER " + b"x" * 100_000, None),
    ("a long line", b"USER " + b"x" * 100_000 + b"\r\n", rb"-ERR"),
    ("binary", bytes(range(256)) + b"\r\n", rb"-ERR"),
    ("RETR before login", b"RETR 1\r\n", rb"-ERR"),
    ("PASS without USER", b"PASS x\r\n", rb"-ERR"),
    ("a message number that is none", f"USER {USER}\r\nPASS {PASSWORD}\r\nRETR x\r\n".encode(), rb"-ERR"),
    ("a message number beyond 64 bits", f"USER {USER}\r\nPASS {PASSWORD}\r\nRETR {'9' * 30}\r\n".encode(), rb"-ERR"),
    ("TOP of a negative number", f"USER {USER}\r\nPASS {PASSWORD}\r\nTOP 1 -1\r\n".encode(), rb"-ERR"),
    ("STAT before login", b"STAT\r\n", rb"-ERR"),
    ("USER after login", f"USER {USER}\r\nPASS {PASSWORD}\r\nUSER x\r\n".encode(), rb"-ERR"),
    ("eight-bit octets", b"USER \xff\xfe\r\nPASS \xff\r\n", rb"-ERR"),
    ("NUL in a command", b"US\0ER x\r\n", rb"-ERR"),
    ("AUTH with no base64", b"AUTH PLAIN\r\n!!!\r\n", rb"-ERR"),
    ("a hundred bad commands", b"FOO\r\n" * 100, rb"-ERR"),
]
LMTP = [
    ("a line without end", b"LHLO " + b"x" * 100_000, None),
    ("a long line", b"LHLO " + b"x" * 100_000 + b"\r\n", rb"5\d\d"),
    ("HELO, which is SMTP", b"HELO x\r\n", rb"5\d\d"),
    ("RCPT without MAIL", b"LHLO x\r\nRCPT TO:<ann@example.com>\r\n", rb"503"),
    ("DATA without recipients", b"LHLO x\r\nMAIL FROM:<a@b.c>\r\nDATA\r\n", rb"5\d\d"),
    ("a malformed path", b"LHLO x\r\nMAIL FROM:<a@b\r\n", rb"501|553|555"),
    ("an unknown parameter", b"LHLO x\r\nMAIL FROM:<a@b.c> FOO=BAR\r\n", rb"555|504|501"),
    ("invalid UTF-8 in an address", b"LHLO x\r\nMAIL FROM:<a@b.c> SMTPUTF8\r\nRCPT TO:<\xc3\x28@example.com>\r\n", rb"5\d\d"),
    ("MAIL before LHLO", b"MAIL FROM:<a@b.c>\r\n", rb"503"),
    ("MAIL within MAIL", b"LHLO x\r\nMAIL FROM:<a@b.c>\r\nMAIL FROM:<a@b.c>\r\n", rb"503"),
    ("an unknown recipient", b"LHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<nobody@example.com>\r\n", rb"550 5\.1\.1"),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", rb"421"),
    ("a size that is too large", b"LHLO x\r\nMAIL FROM:<a@b.c> SIZE=999999999999\r\n", rb"552"),
    ("a bare LF as line end", b"LHLO x\nNOOP\r\n", rb"5\d\d"),
    ("NUL in an address", b"LHLO x\r\nMAIL FROM:<a\0@b.c>\r\n", rb"5\d\d"),
    ("eight-bit octets in an address", b"LHLO x\r\nMAIL FROM:<\xff@b.c>\r\n", rb"5\d\d"),
    ("binary", bytes(range(256)) + b"\r\n", rb"5\d\d"),
    ("a hundred bad commands", b"FOO\r\n" * 100, rb"5\d\d"),
]
TOKEN = b"X-Access-Token: wrong\r\n"
HTTP = [
    ("no HTTP", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", rb"HTTP/1.1 400"),
    ("a long request line", b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", rb"HTTP/1.1 4\d\d"),
    ("a long header field", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n", rb"HTTP/1.1 431"),
    ("a header without end", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000, rb"HTTP/1.1 431"),
    ("many header fields", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", rb"HTTP/1.1 4\d\d"),
    ("no token", b"GET /users HTTP/1.1\r\nHost: x\r\n\r\n", rb"HTTP/1.1 403|HTTP/1.1 401"),
    ("a wrong token", b"GET /users HTTP/1.1\r\nHost: x\r\n" + TOKEN + b"\r\n", rb"HTTP/1.1 403|HTTP/1.1 401"),
    ("two lengths", b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", rb"HTTP/1.1 400"),
    ("length and chunks", b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     rb"HTTP/1.1 400"),
    ("a body that is too large", b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", rb"HTTP/1.1 4\d\d"),
    ("a bad chunk", b"POST /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n\r\n", rb"HTTP/1.1 400"),
    ("a bad chunk of one octet", b"POST /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz", rb"HTTP/1.1 400"),
    ("a bad end of a chunk", b"POST /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na1", rb"HTTP/1.1 400"),
    ("a path that climbs", b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", rb"HTTP/1.1 4\d\d"),
]


def converse(port, data, enough=lambda answer: False):
    """What the server answers until that is enough or it closes; whether it closed; how long it took."""
    start = time.monotonic()
    answer, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX) as peer:
        try:
            peer.sendall(data)
        except (ConnectionError, TimeoutError):
            closed = True
        try:
            while not enough(answer) and (chunk := peer.recv(65536)):
                answer += chunk
            closed = not enough(answer)
        except TimeoutError:
            pass
        except ConnectionError:
            closed = True
    return answer, closed, time.monotonic() - start


class BadInput(ServerCase):
    # Many clients here come from one address on purpose: for the limits of floods see floods_test.py.
    settings = {"auth.userFailuresMax": 0, "imap.maxConnections": 1000}

    def check(self, port, table):
        before = self.server.memory_kib()
        for name, data, wanted in table:
            with self.subTest(name):
                def reply(answer):  # behind the greeting
                    return answer if port == self.server.api_port else answer.partition(b"\r\n")[2]

                answer, closed, seconds = converse(port, data, lambda answer: re.search(wanted or b".", reply(answer)))
                self.assertLess(seconds, SECONDS_MAX)
                if wanted is None:
                    self.assertTrue(closed or reply(answer), "neither an answer nor an end")
                else:
                    self.assertRegex(reply(answer), wanted)
        self.assertLess(self.server.memory_kib() - before, GROWTH_MAX_KIB, "the memory grew")
        self.assertIsNone(self.server.process.poll(), "the server died")
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:  # it serves on
            client.login(USER, PASSWORD)
            self.assertEqual(client.select()[0], "OK")

    def test_imap(self):
        self.check(self.server.imap_port, IMAP)

    def test_pop3(self):
        self.check(self.server.pop3_port, POP3)

    def test_lmtp(self):
        self.check(self.server.lmtp_port, LMTP)

    def test_http(self):
        self.check(self.server.api_port, HTTP)

    def test_tls_ports_survive_clear_text(self):
        for port in (self.server.imaps_port, self.server.pop3s_port):
            _, closed, seconds = converse(port, b"a NOOP\r\n" * 100)
            self.assertTrue(closed)
            self.assertLess(seconds, SECONDS_MAX)

    def test_what_is_sent_in_clear_behind_starttls_is_never_obeyed(self):
        """CVE-2011-0411: the command that travelled with STARTTLS must be gone."""
        for port, start, answered, injected, probe, refused in (
                (self.server.imap_port, b"a STARTTLS\r\n", rb"a OK.*\n", b"inj LOGOUT\r\n", b"b NOOP\r\n", b"inj"),
                (self.server.pop3_port, b"STLS\r\n", rb"\n\+OK.*\n", b"QUIT\r\n", b"CAPA\r\n", b"bye"),
                (self.server.lmtp_port, b"LHLO x\r\nSTARTTLS\r\n", rb"\n220 .*\n", b"QUIT\r\n", b"NOOP\r\n", b"221")):
            with self.subTest(start):
                with socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX) as plain:
                    plain.sendall(start + injected)
                    answer = b""
                    while not re.search(answered, answer) and (chunk := plain.recv(65536)):
                        answer += chunk
                    with trusting_tls().wrap_socket(plain) as tls:
                        tls.sendall(probe)
                        answer = tls.recv(65536)
                        self.assertTrue(answer, "the connection was ended by the injected command")
                        self.assertNotIn(refused, answer.lower())
                        self.assertRegex(answer, rb"^(b OK|\+OK|250|503|451|5\d\d)")

    def test_smuggled_ends_of_data_stay_inside_the_message(self):
        lmtp = Lmtp(self.server.lmtp_port)
        for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n"):
            with self.subTest(end):
                inner = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\nsmuggled"
                reply = lmtp.deliver("a@example.com", [USER], message("smuggle") + b"x" + end + inner + b"\r\n")
                self.assertEqual(len(reply), 1)
                lmtp.send(b"NOOP\r\n")
                lmtp.reply(b"250")  # in step: nothing of the message was taken for a command
        lmtp.close()

    def test_a_client_that_never_reads_costs_little(self):
        session = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        session.login(USER, PASSWORD)
        session.append("INBOX", None, None, message("large", ("x" * 70 + "\r\n") * 300_000))
        session.logout()
        before = self.server.memory_kib()
        peers = []
        for _ in range(10):
            peer = socket.create_connection(("127.0.0.1", self.server.imap_port), timeout=SECONDS_MAX)
            peer.sendall(LOGIN + b"s SELECT INBOX\r\n" + b"f FETCH 1:* BODY.PEEK[]\r\n" * 20)
            peers.append(peer)
        time.sleep(1)
        self.assertLess(self.server.memory_kib() - before, GROWTH_MAX_KIB)
        for peer in peers:
            peer.close()


class Quotas(ServerCase):
    """A mailbox that is full says so in each protocol's words, and the others go on."""

    users = ("ann@example.com", "full@example.com")

    def setUp(self):
        reply = self.server.api("GET", "/users/resolve/full@example.com")
        self.user = reply["id"]
        self.server.api("PUT", f"/users/{self.user}", {"quota": 20_000})

    def test_lmtp(self):
        lmtp = Lmtp(self.server.lmtp_port)
        large = message("large", ("x" * 70 + "\r\n") * 500)
        with self.subTest("SIZE tells at RCPT"):
            lmtp.send(b"MAIL FROM:<a@b.c> SIZE=30000\r\nRCPT TO:<full@example.com>\r\nRCPT TO:<ann@example.com>\r\n")
            lmtp.reply(b"250")
            self.assertRegex(lmtp.reply(b"5"), rb"^552 5\.2\.2 ")
            lmtp.reply(b"250")
            lmtp.send(b"RSET\r\n")
            lmtp.reply(b"250")
        with self.subTest("DATA tells for that recipient only"):
            lmtp.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<full@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n")
            for code in (b"250", b"250", b"250", b"354"):
                lmtp.reply(code)
            lmtp.send(large + b".\r\n")
            self.assertRegex(lmtp.reply(b"552"), rb"^552 5\.2\.2 ")
            lmtp.reply(b"250")
        lmtp.close()

    def test_imap(self):
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login("full@example.com", PASSWORD)
            self.assertEqual(client.append("INBOX", None, None, message("small"))[0], "OK")
            status, said = client.append("INBOX", None, None, message("large", ("x" * 70 + "\r\n") * 500))
            self.assertEqual(status, "NO")
            self.assertIn(b"[OVERQUOTA]", said[0])
            self.server.api("PUT", f"/users/{self.user}", {"quota": 1})
            client.select()
            status, said = client.copy("1", "Trash")
            self.assertEqual(status, "NO")
            self.assertIn(b"[OVERQUOTA]", said[0])

    def test_rest(self):
        mailboxes = self.server.api("GET", f"/users/{self.user}/mailboxes")["results"]
        inbox = next(mailbox["id"] for mailbox in mailboxes if mailbox["path"] == "INBOX")
        with self.assertRaises(ApiError) as refused:
            self.server.api("POST", f"/users/{self.user}/mailboxes/{inbox}/messages",
                            message("large", ("x" * 70 + "\r\n") * 500), "message/rfc822")
        self.assertEqual(json.loads(refused.exception.body)["code"], "OverQuotaError")


if __name__ == "__main__":
    cases.main()
