#!/usr/bin/env python3
"""kill -9 in the middle of deliveries, flag changes, copies and expunges: what was acknowledged is there, once.

    crash_test.py [--rounds 50] [--seed N]

Each round loads the server from several threads, kills it at a random moment, starts it again on the same data and
compares: every acknowledged message is there once and byte-identical, every acknowledged flag change and expunge has
happened, no UID stands for two messages, and `mallard check` finds nothing.
"""

import argparse
import pathlib
import random
import re
import smtplib
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "model")]
from imap_session import ImapSession, parse_fetch, parse_set  # noqa: E402
from mallard_server import MallardServer  # noqa: E402

USER, PASSWORD = "crash@example.com", "secret-crash"


class Ledger:
    """What the server has acknowledged, by the number in each message's Message-ID."""

    def __init__(self):
        self.lock = threading.Lock()
        self.bodies = {}     # number -> the bytes that were sent
        self.stored = set()  # acknowledged
        self.uids = {}       # (mailbox, uid) -> number, acknowledged or seen
        self.flagged = {}    # uid of INBOX -> acknowledged \Flagged state
        self.gone = set()    # uids of INBOX whose expunge was acknowledged
        self.copies = {}     # uid of Copies -> number
        self.next = 0

    def message(self, rng, large):
        with self.lock:
            self.next += 1
            number = self.next
        size = rng.choice([300, 5000, 30000]) if not large else 400_000
        text = "".join(rng.choice("abcdefghij \r") for _ in range(200)) * (size // 200)
        body = (f"From: a@example.com\r\nTo: {USER}\r\nSubject: crash {number}\r\nMessage-ID: <{number}@crash>\r\n"
                f"\r\n{text.replace(chr(13), chr(13) + chr(10))}\r\n").encode()
        with self.lock:
            self.bodies[number] = body
        return number, body


def deliver(server, ledger, rng, stop):
    while not stop.is_set():
        with smtplib.LMTP("127.0.0.1", server.lmtp_port, timeout=10) as lmtp:
            for _ in range(20):
                number, body = ledger.message(rng, rng.random() < 0.05)
                lmtp.sendmail("s@example.com", [USER], body)
                with ledger.lock:
                    ledger.stored.add(number)


def append(server, ledger, rng, stop):
    session = ImapSession(server.imap_port, USER, PASSWORD)
    while not stop.is_set():
        number, body = ledger.message(rng, False)
        status, text, _ = session.append("INBOX", body)
        assert status == "OK", text
        uid = int(re.search(r"APPENDUID \d+ (\d+)", text).group(1))
        with ledger.lock:
            ledger.stored.add(number)
            known = ledger.uids.setdefault(("INBOX", uid), number)
            assert known == number, f"UID {uid} used twice"


def change(server, ledger, rng, stop):
    """Flags, copies and expunges on the messages of this round's beginning."""
    session = ImapSession(server.imap_port, USER, PASSWORD)
    session.command("SELECT INBOX")
    _, _, untagged = session.command("UID FETCH 1:* (UID)")
    with ledger.lock:  # what is delivered meanwhile has no known number yet: an expunge of it could not be told
        uids = [f[1]["UID"] for r in untagged if (f := parse_fetch(r)) and ("INBOX", f[1]["UID"]) in ledger.uids]
    rng.shuffle(uids)
    while uids and not stop.is_set():
        some, uids = sorted(uids[:3]), uids[3:]
        text = ",".join(map(str, some))
        action = rng.choice(["flag", "flag", "copy", "expunge"])
        if action == "flag":
            if session.command(f"UID STORE {text} +FLAGS.SILENT (\\Flagged)")[0] == "OK":
                with ledger.lock:
                    ledger.flagged.update({u: True for u in some})
        elif action == "copy":
            status, reply, _ = session.command(f"UID COPY {text} Copies")
            assert status == "OK", reply
            target = parse_set(re.search(r"COPYUID \d+ [\d:,]+ ([\d:,]+)", reply).group(1))
            with ledger.lock:
                for old, new in zip(some, target, strict=True):
                    ledger.copies[new] = ledger.uids.get(("INBOX", old))
        else:
            session.command(f"UID STORE {text} +FLAGS.SILENT (\\Deleted)")
            with ledger.lock:
                for u in some:  # from here on it may or may not be there; after the OK it is not
                    ledger.stored.discard(ledger.uids.get(("INBOX", u)))
                    ledger.flagged.pop(u, None)
            if session.command(f"UID EXPUNGE {text}")[0] == "OK":
                with ledger.lock:
                    ledger.gone.update(some)


def guarded(function, *arguments):
    def run():
        try:
            function(*arguments)
        except (OSError, smtplib.SMTPException, ConnectionError):
            pass  # the server was killed
        except AssertionError as error:
            failures.append(str(error))
    return threading.Thread(target=run)


failures = []


def fetch_all(session, mailbox):
    """{uid: (number, flags, body)} of a mailbox, each body compared by its Message-ID number."""
    status, text, _ = session.command(f"EXAMINE {mailbox}")
    assert status == "OK", text
    status, text, untagged = session.command("UID FETCH 1:* (FLAGS BODY.PEEK[])")
    assert status == "OK", text
    found = {}
    for response in untagged:
        head = re.match(rb"\d+ FETCH \((.*?)BODY\[\] \{(\d+)\}\r\n", response, re.S)
        if not head:
            continue
        body = response[head.end():head.end() + int(head.group(2))]
        rest = head.group(1) + response[head.end() + int(head.group(2)):]
        uid = int(re.search(rb"UID (\d+)", rest).group(1))
        number = int(re.search(rb"Message-ID: <(\d+)@crash>", body).group(1))
        found[uid] = (number, set(re.search(rb"FLAGS \(([^)]*)\)", rest).group(1).decode().split()), body)
    return found


def verify(server, ledger):
    session = ImapSession(server.imap_port, USER, PASSWORD)
    inbox = fetch_all(session, "INBOX")
    copies = fetch_all(session, "Copies")
    numbers = [number for number, _, _ in inbox.values()]
    assert len(numbers) == len(set(numbers)), "a message is there twice"
    missing = ledger.stored - set(numbers)
    assert not missing, f"acknowledged but gone: {sorted(missing)[:10]} ({len(missing)} in all)"
    for mailbox, found in (("INBOX", inbox), ("Copies", copies)):
        for uid, (number, _, body) in found.items():
            assert body.endswith(ledger.bodies[number]), f"{mailbox} UID {uid}: other bytes than were sent"
            known = ledger.uids.setdefault((mailbox, uid), number)
            assert known == number, f"{mailbox} UID {uid} was message {known}, now it is {number}"
    for uid, flagged in ledger.flagged.items():
        if uid in inbox:
            assert ("\\Flagged" in inbox[uid][1]) == flagged, f"INBOX UID {uid} lost its flag"
    assert not ledger.gone & set(inbox), f"expunged but there: {sorted(ledger.gone & set(inbox))[:10]}"
    lost = {u for u in ledger.copies if u not in copies}
    assert not lost, f"copied but gone: {sorted(lost)[:10]}"
    session.command("LOGOUT")
    return len(inbox), len(copies)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="mallard-crash-") as directory:
        server = MallardServer(data=directory)
        server.start()
        server.add_user(USER, PASSWORD, quota=100_000_000_000)
        ImapSession(server.imap_port, USER, PASSWORD).command("CREATE Copies")
        for number in range(options.rounds):
            stop = threading.Event()
            workers = [deliver, deliver, deliver, append, append, change, change]
            threads = [guarded(w, server, ledger, random.Random(rng.random()), stop) for w in workers[:6]]
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.05, 0.6))
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
            assert not failures, failures[0]
            server.start()
            counts = verify(server, ledger)
            if number % 10 == 9 or number == options.rounds - 1:
                problems = server.check()
                assert not problems, "\n".join(problems)
                print(f"round {number + 1}: {counts[0]} messages, {counts[1]} copies, as acknowledged", flush=True)
        server.kill()
    print(f"{options.rounds} rounds of kill -9: nothing acknowledged was lost")


if __name__ == "__main__":
    main()
