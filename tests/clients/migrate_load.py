"""People and programs that use a server while its store is moved: each remembers what it was told is done, bears that
the server goes away, and comes back to whichever server is at the place then."""

import http.client
import imaplib
import os
import re
import smtplib
import threading
import time

from common import PASSWORD, message
from mallard_server import ApiError

GONE = (OSError, imaplib.IMAP4.error, smtplib.SMTPException, http.client.HTTPException, ApiError)


def login(server, user, password=PASSWORD):
    client = imaplib.IMAP4("127.0.0.1", server.imap_port, timeout=60)
    client.login(user, password)
    return client


class Place:
    """Where the server is: tests put another one there."""

    def __init__(self, server):
        self.server = server


class Load(threading.Thread):
    PAUSE = 1.5 if os.environ["MALLARD_TEST_ENGINE"] == "cluster" else 0.05  # what FerretDB bears

    def __init__(self, place, user):
        super().__init__()
        self.place, self.user = place, user
        self.done, self.refused, self.ending = 0, 0, False
        self.doubtful = set()  # it may have happened, or not: the connection broke before the answer
        self.number = None     # of what is under way
        self.problem = None

    def run(self):
        try:
            while not self.ending:
                try:
                    self.connect(self.place.server)
                    while not self.ending:
                        self.round()
                        self.number = None
                        self.done += 1
                        time.sleep(self.PAUSE)
                except GONE:
                    self.refused += 1
                    if self.number is not None:
                        self.doubtful.add(self.number)
                    time.sleep(0.05)
        except Exception as problem:  # noqa: BLE001: the test tells it
            self.problem = problem

    def works(self, rounds, seconds=120):
        """Waits for so many rounds more."""
        wanted, end = self.done + rounds, time.time() + seconds
        while self.done < wanted:
            assert self.problem is None, repr(self.problem)
            assert time.time() < end, f"{type(self).__name__} does not come on: {self.done} done, {self.refused} refused"
            time.sleep(0.02)

    def stop(self):
        self.ending = True
        self.join()
        assert self.problem is None, repr(self.problem)

    def fetch_all(self, client):
        """{subject: [(mailbox, UID, flags)]}"""
        found = {}
        for mailbox in ("INBOX", "Archive"):
            client.select(mailbox, readonly=True)
            _, rows = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            for row, rest in zip(rows, rows[1:]):
                if not isinstance(row, tuple):
                    continue
                items, subject = (row[0] + rest).decode(), row[1].decode().partition(":")[2].strip()
                flags = set(re.search(r"FLAGS \(([^)]*)\)", items)[1].split()) - {"\\Recent"}
                found.setdefault(subject, []).append((mailbox, int(re.search(r"UID (\d+)", items)[1]), flags))
        return found


class Mta(Load):
    """Delivers by LMTP; what was not taken is tried again."""

    number_next = 0
    taken = 0

    def connect(self, server):
        self.client = smtplib.LMTP("127.0.0.1", server.lmtp_port, timeout=60)

    def round(self):
        self.number = self.number_next
        self.client.sendmail("mta@example.org", [self.user], message(f"mta {self.number}", "x" * 70 + "\r\n"))
        self.number_next += 1

    def check(self, server):
        found = self.fetch_all(login(server, self.user))
        for number in range(self.number_next):
            copies = len(found.get(f"mta {number}", []))
            assert copies == 1 or (copies == 2 and number in self.doubtful), f"mta {number} is there {copies} times"


class Person(Load):
    """Appends, flags, moves and expunges by IMAP."""

    number_next = 0

    def __init__(self, place, user):
        super().__init__(place, user)
        self.messages = {}  # number -> [mailbox, UID, flags]: as it was acknowledged

    def connect(self, server):
        self.client = login(server, self.user)

    def ok(self, answer):
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(answer)
        return answer[1][0].decode() if answer[1][0] else ""

    def expunged(self, number):
        del self.messages[number]

    def round(self):
        self.number = self.number_next
        self.number_next += 1
        told = self.ok(self.client.append("INBOX", "\\Seen", None, message(f"person {self.number}", "y" * 70)))
        uid = int(re.search(r"APPENDUID \d+ (\d+)", told)[1])
        self.messages[self.number] = ["INBOX", uid, {"\\Seen"}]
        self.ok(self.client.select("INBOX"))
        known = [number for number, (mailbox, _, _) in self.messages.items()
                 if mailbox == "INBOX" and number not in self.doubtful]
        if not known:
            return
        self.number = known[self.number % len(known)]
        mailbox, uid, flags = self.messages[self.number]
        turn = self.number_next % 5
        if turn == 0:
            self.client.untagged_responses.pop("COPYUID", None)
            self.ok(self.client.uid("MOVE", str(uid), "Archive"))
            copied = self.client.response("COPYUID")[1][0].decode()
            self.messages[self.number] = ["Archive", int(copied.split()[2]), flags]
        elif turn == 1 and len(known) > 3:
            self.ok(self.client.uid("STORE", str(uid), "+FLAGS", "\\Deleted"))
            self.ok(self.client.uid("EXPUNGE", str(uid)))
            self.expunged(self.number)
        else:
            self.ok(self.client.uid("STORE", str(uid), "+FLAGS", "(\\Flagged $Later)"))
            self.messages[self.number] = [mailbox, uid, flags | {"\\Flagged", "$Later"}]

    def check(self, server):
        found = self.fetch_all(login(server, self.user))
        for number in range(self.number_next):
            copies = found.get(f"person {number}", [])
            if number in self.doubtful:
                assert len(copies) <= 1, f"person {number}: {copies}"
            elif number not in self.messages:
                assert not copies, f"person {number} was expunged, but is there: {copies}"
            else:
                wanted = [tuple(self.messages[number])]
                assert copies == wanted, f"person {number}: {copies}, not {wanted}"


class Program(Load):
    """Changes flags and metadata by REST: neither is done by halves."""

    MESSAGES = 4

    def __init__(self, place, user):
        super().__init__(place, user)
        server = place.server
        listed = server.api("GET", f"/users/{server.user_id(user)}/mailboxes")["results"]
        box = next(entry["id"] for entry in listed if entry["path"] == "INBOX")
        self.path = f"/users/{server.user_id(user)}/mailboxes/{box}/messages"
        self.told = {}

    def connect(self, server):
        self.server = server

    def round(self):
        self.number = self.done % self.MESSAGES + 1  # a UID
        change = {"flagged": self.done % 3 == 0, "metaData": {"round": self.done}}
        self.server.api("PUT", f"{self.path}/{self.number}", change)
        self.told[self.number] = change
        self.doubtful.discard(self.number)

    def check(self, server):
        for number, change in self.told.items():
            shown = server.api("GET", f"{self.path}/{number}")
            if number not in self.doubtful:
                now = {key: shown[key] for key in change}
                assert now == change, f"message {number}: {now}, not {change}"
