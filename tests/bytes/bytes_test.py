#!/usr/bin/env python3
"""What came in goes out byte for byte: generated messages in by LMTP and APPEND, out by IMAP, POP3 and REST.

    bytes_test.py [--messages 10000] [--seed N] [--quick] [--without parts_10000,...] [--corpus 1000]

Trace headers that LMTP delivery puts in front are cut off before comparing. Two forms cannot be said on a wire: LMTP
always ends a message in CRLF, and POP3 shows one after a last line that has none.
"""

import argparse
import pathlib
import random
import re
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / p) for p in ("support", "model")]
from imap_session import ImapSession  # noqa: E402
from mallard_server import MallardServer  # noqa: E402
from random_message import message  # noqa: E402
from wire import Lmtp, Pop3  # noqa: E402

PASSWORD = "secret-bytes"
PLAIN = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: s\r\nMessage-ID: <%d@bytes>\r\n"


def specials(quick):
    """(name, bytes) of messages that have broken mail servers."""
    yield "nul", PLAIN % 1 + b"\r\nbefore\0after\r\n"
    yield "bare_cr", PLAIN % 2 + b"\r\none\rtwo\r\r\nthree\r\n"
    yield "bare_lf", PLAIN % 3 + b"\r\none\ntwo\n\nthree\r\n"
    yield "lf_only", b"From: a@example.com\nSubject: lf\n\nbody\n.\n..\nend\r\n"
    yield "smuggle", PLAIN % 4 + b"\r\nx\n.\nMAIL FROM:<evil@example.com>\r\n\n.\r\ny\r.\r\n\r.\rz\r\n"
    yield "dots", PLAIN % 5 + b"\r\n.\r\n..\r\n...\r\n.x\r\n"
    yield "no_blank_line", b"From: a@example.com\r\nSubject: only a header\r\n"
    yield "no_header", b"\r\nonly a body\r\n"
    yield "one_line", b"x\r\n"
    yield "blank", b"\r\n"
    yield "long_line", PLAIN % 6 + b"\r\n" + b"x" * 100_000 + b"\r\n"
    yield "8bit", PLAIN % 7 + b"\r\n" + bytes(range(1, 256)) * 10 + b"\r\n"
    yield "parts_10000", (PLAIN % 8 + b"Content-Type: multipart/mixed; boundary=p\r\n\r\n"
                          + b"".join(b"--p\r\n\r\npart %d\r\n" % i for i in range(10_000)) + b"--p--\r\n")
    yield "header_1mb", PLAIN % 9 + b"X-Long: " + b"y" * (1 << 20) + b"\r\n\r\nbody\r\n"
    yield "deep", (PLAIN % 10 + b"".join(b"Content-Type: multipart/mixed; boundary=d%d\r\n\r\n--d%d\r\n" % (i, i) for i in range(500))
                   + b"\r\nbottom\r\n")
    yield "mime_rfc822_chain", PLAIN % 11 + b"Content-Type: message/rfc822\r\n\r\n" * 500 + b"\r\nbottom\r\n"
    size = 2 << 20 if quick else 100 << 20
    block = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkr\r\n"
    yield "attachment_100mb", (PLAIN % 12 + b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\ntext\r\n--a\r\n"
                               b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                               + block * (size // len(block)) + b"--a--\r\n")


# What delivery puts in front, one of each: RFC 5321 §4.4 and Delivered-To.
TRACE = re.compile(rb"\ADelivered-To: [^\r\n]*\r\nReturn-Path: [^\r\n]*\r\nReceived: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def without_trace(body):
    match = TRACE.match(body)
    assert match, f"delivery added no trace header: {body[:80]!r}"
    return body[match.end():]


def fetch_bodies(port, user, mailbox):
    session = ImapSession(port, user, PASSWORD)
    session.socket.settimeout(600)
    session.command(f"EXAMINE {mailbox}")
    tag = session.send("UID FETCH 1:* (BODY.PEEK[])")
    bodies = {}
    while True:
        response = session.read_response()
        if response.startswith(tag):
            assert response.startswith(tag + b" OK"), response
            break
        head = re.match(rb"\* \d+ FETCH \((?:UID (\d+) )?BODY\[\] \{(\d+)\}\r\n", response)
        if head:
            size = int(head.group(2))
            uid = int(head.group(1) or re.search(rb"UID (\d+)", response[head.end() + size:]).group(1))
            bodies[uid] = response[head.end():head.end() + size]
    session.close()
    return bodies


class Test:
    def __init__(self, server):
        self.server = server
        self.failures = 0
        self.compared = 0

    def compare(self, what, got, sent):
        self.compared += 1
        if got != sent:
            self.failures += 1
            at = next((i for i, (a, b) in enumerate(zip(got, sent)) if a != b), min(len(got), len(sent)))
            print(f"{what}: {len(got)} octets came out, {len(sent)} went in; first difference at {at}: "
                  f"{got[at:at + 40]!r} instead of {sent[at:at + 40]!r}", file=sys.stderr)

    def run(self, label, messages, user):
        """messages: [(name, bytes)], each delivered by LMTP to INBOX and appended to Other, then read back every way."""
        server = self.server
        server.add_user(user, PASSWORD, quota=1 << 40, pop3MaxMessages=100_000)
        session = ImapSession(server.imap_port, user, PASSWORD)
        session.socket.settimeout(600)
        session.command("CREATE Other")
        lmtp = Lmtp(server.lmtp_port, 600)
        appended = {}
        for name, body in messages:
            lmtp.deliver("s@example.com", [user], body)
            status, text, _ = session.append("Other", body)
            if b"\0" in body:
                # RFC 9051 §4.3: an IMAP literal is made of CHAR8, which leaves NUL out.
                assert status in ("NO", "BAD"), f"a NUL in an APPEND literal was taken: {text}"
            else:
                assert status == "OK", f"{name}: {text}"
                appended[int(re.search(r"APPENDUID \d+ (\d+)", text).group(1))] = name, body
        inbox = fetch_bodies(server.imap_port, user, "INBOX")
        assert len(inbox) == len(messages), f"{len(inbox)} of {len(messages)} messages are in INBOX"
        for (name, sent), uid in zip(messages, sorted(inbox)):
            self.compare(f"{name}: LMTP to IMAP", without_trace(inbox[uid]), sent)
        others = fetch_bodies(server.imap_port, user, "Other")
        for uid, (name, sent) in appended.items():
            self.compare(f"{name}: APPEND to IMAP", others.get(uid, b""), sent)
        pop3 = Pop3(server.pop3_port, user, PASSWORD)
        for number, ((name, sent), uid) in enumerate(zip(messages, sorted(inbox)), 1):
            got = pop3.multiline(f"RETR {number}")
            stored = inbox[uid]
            self.compare(f"{name}: POP3", got, stored if stored.endswith(b"\r\n") else stored + b"\r\n")
        boxes = {b["path"]: b["id"] for b in server.api("GET", f"/users/{server.user_id(user)}/mailboxes")["results"]}
        for path, stored in (("INBOX", inbox), ("Other", others)):
            for uid, body in stored.items():
                got = server.api("GET", f"/users/{server.user_id(user)}/mailboxes/{boxes[path]}/messages/{uid}/message.eml", raw=True)
                self.compare(f"{path} {uid}: REST", got, body)
        print(f"{label}: {len(messages)} messages, {self.compared} comparisons, {self.failures} differences", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--quick", action="store_true", help="2 MB instead of 100 MB")
    parser.add_argument("--without", default="", help="special messages that the database of the test cannot bear")
    parser.add_argument("--corpus", type=int, default=1000, help="messages of the corpus")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    rng = random.Random(options.seed)
    with MallardServer({"imap.maxMB": 200, "lmtp.maxMB": 200}) as server:
        test = Test(server)
        corpus = sorted((pathlib.Path(__file__).resolve().parent.parent / "corpus/emails").glob("*.eml"))
        assert corpus, "the corpus is missing"
        corpus = rng.sample(corpus, min(options.corpus, len(corpus)))
        bodies = [(p.name, b if (b := p.read_bytes()).endswith(b"\r\n") else b + b"\r\n") for p in corpus]
        test.run("corpus", bodies, "corpus@example.com")
        for part in range(0, options.messages, 2500):
            messages = [(f"random {n}", message(rng, n, odd=n % 3 == 0)) for n in range(part, min(part + 2500, options.messages))]
            test.run(f"random {part}", messages, f"random{part}@example.com")
        # Last: a database without indexes reads these large ones for whatever it is asked afterwards.
        messages = list(specials(options.quick))
        unborne = set(filter(None, options.without.split(",")))
        assert unborne <= {name for name, _ in messages}, f"no such message: {options.without}"
        test.run("special", [m for m in messages if m[0] not in unborne], "special@example.com")
        session = ImapSession(server.imap_port, "special@example.com", PASSWORD)
        status, text, _ = session.append("INBOX", PLAIN % 99 + b"\r\nno final newline")
        assert status == "OK", text
        last = fetch_bodies(server.imap_port, "special@example.com", "INBOX")
        test.compare("no final newline: APPEND to IMAP", last[max(last)], PLAIN % 99 + b"\r\nno final newline")
        problems = server.check()
        assert not problems, problems
    print(f"seed {options.seed}: {test.compared} comparisons, {test.failures} differences")
    sys.exit(1 if test.failures else 0)


if __name__ == "__main__":
    main()
