#!/usr/bin/env python3
"""Mallard and WildDuck at work on the same data: what either writes the other reads, and neither disturbs the other.

Skipped where WildDuck or its database cannot be had."""

import concurrent.futures
import imaplib
import pathlib
import random
import re
import statistics
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("support", "cluster", "clients", "model", "mongo")]
import documents  # noqa: E402
import random_message  # noqa: E402
import servers  # noqa: E402
from cluster import Cluster, run_cases  # noqa: E402
from common import PASSWORD, message  # noqa: E402
from imap_session import ImapSession, parse_fetch  # noqa: E402
from mallard_server import ApiError, MallardServer  # noqa: E402
from wildduck_server import WildDuck, wildduck  # noqa: E402
from wire import Lmtp, Pop3  # noqa: E402

SEED = 7
RANDOM_MESSAGES = 60
DATE = '"20-Nov-2026 10:00:00 +0000"'
NEWS_SECONDS_MAX = 15
ROUNDS = 5
AT_ONCE = 40
INDEXES_SECONDS_MAX = 60


def with_crlf(text):
    """As imaplib sends it."""
    return imaplib.MapCRLF.sub(b"\r\n", text)


def sources():
    """[(name, message)]: the corpus, then random ones."""
    rng = random.Random(SEED)
    corpus = sorted((HERE.parent / "corpus").rglob("*.eml"))
    return [(file.name, with_crlf(file.read_bytes())) for file in corpus] + \
        [(f"random {number}", with_crlf(random_message.message(rng, number, False))) for number in range(RANDOM_MESSAGES)]


def log_in(server, user, password=PASSWORD):
    session = imaplib.IMAP4("127.0.0.1", server.imap_port)
    session.login(user, password)
    return session


def bodies(server, user):
    """{UID: (RFC822.SIZE, body)} of the INBOX."""
    with log_in(server, user) as session:
        assert session.select("INBOX", readonly=True)[0] == "OK"
        parts = session.fetch("1:*", "(UID RFC822.SIZE BODY.PEEK[])")[1]
    found = {}
    for part in parts:
        if isinstance(part, tuple):
            head = part[0]
            found[int(re.search(rb"UID (\d+)", head)[1])] = (int(re.search(rb"RFC822.SIZE (\d+)", head)[1]), part[1])
    return found


def flags(server, user, mailbox="INBOX"):
    """{UID: flags}, as one who comes now sees them."""
    with log_in(server, user) as session:
        assert session.select(mailbox, readonly=True)[0] == "OK"
        lines = session.uid("FETCH", "1:*", "(FLAGS)")[1]
    return {int(re.search(rb"UID (\d+)", line)[1]): set(re.search(rb"FLAGS \(([^)]*)\)", line)[1].decode().split())
            for line in lines if line}


class BesideWildDuck(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=1, kind="mongod").__enter__()
        cls.mallard = cls.cluster.nodes[0]
        try:
            cls.wildduck = WildDuck(cls.cluster.mongo.url(), cls.cluster.redis.url()).__enter__()
        except BaseException:
            cls.cluster.close()
            raise
        cls.both = {"WildDuck": cls.wildduck, "Mallard": cls.mallard}
        cls.database = servers.database(cls.cluster.mongo.url())
        cls.sources = sources()
        cls.users = {}
        for name, server in cls.both.items():  # WildDuck first: Mallard meets its stored bodies
            user = f"{name.lower()}.corpus"
            cls.users[name] = cls.add_user(server, user)
            with log_in(server, user) as session:
                for what, source in cls.sources:
                    kind, text = session.append("INBOX", r"(\Seen)" if len(source) % 2 else "", DATE, source)
                    assert kind == "OK", f"{name}: {what}: {text}"

    @classmethod
    def tearDownClass(cls):
        cls.wildduck.__exit__()
        cls.cluster.close()

    @classmethod
    def add_user(cls, server, name):
        return server.api("POST", "/users", {"username": name, "password": PASSWORD, "address": f"{name}@example.com"})["id"]

    @staticmethod
    def ask(server, path):
        """The reply but for times to live, which count down; or the refusal."""
        try:
            reply = server.api("GET", path)
        except ApiError as error:
            return error.status, error.body
        for limit in reply.get("limits", {}).values():
            if limit.get("ttl"):
                limit["ttl"] = True
        return reply

    def until(self, seen, what):
        end = time.monotonic() + NEWS_SECONDS_MAX
        while not (found := seen()):
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)
        return found

    # -- accounts --------------------------------------------------------------------------------------------------

    def test_an_account_of_either_logs_in_at_both(self):
        for number, (name, maker) in enumerate(self.both.items()):
            user = f"account{number}"
            with self.subTest(made_by=name):
                identity = self.add_user(maker, user)
                for server in self.both.values():
                    log_in(server, user).logout()
                    log_in(server, f"{user}@example.com").logout()
                    Pop3(server.pop3_port, user, PASSWORD).close()
                    reply = server.api("POST", "/authenticate", {"username": user, "password": PASSWORD, "scope": "imap"})
                    self.assertEqual(reply["id"], identity)
                maker.api("PUT", f"/users/{identity}", {"password": "another secret"})
                for server in self.both.values():
                    log_in(server, user, "another secret").logout()
                    with self.assertRaises(imaplib.IMAP4.error):
                        log_in(server, user)

    def test_an_account_deleted_at_either_is_gone_at_both(self):
        for number, (name, remover) in enumerate(self.both.items()):
            user = f"deleted{number}"
            identity = self.add_user(self.wildduck, user)
            for server in self.both.values():
                log_in(server, user).logout()
            remover.api("DELETE", f"/users/{identity}")
            for server in self.both.values():
                with self.subTest(deleted_by=name), self.assertRaises(imaplib.IMAP4.error):
                    log_in(server, user)

    def test_entities_are_the_same_by_rest(self):
        user = self.users["WildDuck"]
        paths = ["/users", "/users?query=corpus", "/users?tags=none", f"/users/{user}", f"/users/{self.users['Mallard']}",
                 "/users/resolve/wildduck.corpus", "/addresses", "/addresses/resolve/mallard.corpus@example.com",
                 f"/users/{user}/addresses", f"/users/{user}/mailboxes", f"/users/{user}/mailboxes?counters=true",
                 "/users/ffffffffffffffffffffffff", "/users/nonsense", f"/users/{user}/authlog", "/domainaliases"]
        for path in paths:
            with self.subTest(path):
                self.assertEqual(*[self.ask(server, path) for server in self.both.values()])

    # -- configuration ----------------------------------------------------------------------------------------------

    def test_wildducks_own_configuration_is_taken(self):
        shipped = self.wildduck.packages / "@zone-eu/wildduck/config/default.toml"
        done = self.mallard.command("config", "check", "--config", str(shipped))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("is in order", done.stdout)
        # The file of the WildDuck that runs here; all that it lacks is which store, and ports of one's own.
        server = MallardServer({"store": "mongodb"})
        server.config = self.wildduck.config
        try:
            server.start()
            self.assertEqual(bodies(server, "mallard.corpus"), bodies(self.mallard, "mallard.corpus"))
        finally:
            server.__exit__()

    def test_a_store_that_wildduck_serves_is_not_moved_away(self):
        with MallardServer({"store": "mongodb", "dbs.mongo": self.cluster.mongo.url(), "dbs.redis": self.cluster.redis.url()}) as mine:
            self.assertEqual(mine.stop(), 0)
            words = ["migrate", "--from", "mongodb", "--to", "embedded"]
            done = mine.command(*words)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            done = mine.command(*words, "--switch")
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout + done.stderr, r"still in use by @zone-eu/wildduck\S+, mallard:\S+: stop every process")

    # -- messages --------------------------------------------------------------------------------------------------

    def test_documents_of_messages_are_wildducks(self):
        made = {name: documents.of_user(self.database, user) for name, user in self.users.items()}
        self.assertEqual(*[len(found) for found in made.values()])
        wrong = []
        for (what, _), theirs, ours in zip(self.sources, *made.values(), strict=True):
            wrong += [f"{what}: {difference}" for difference in documents.differences(theirs, ours)]
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_wildduck_gives_messages_of_both_alike(self):
        theirs, ours = (bodies(self.wildduck, f"{name.lower()}.corpus") for name in self.both)
        for (what, _), uid in zip(self.sources, sorted(theirs), strict=True):
            with self.subTest(what):
                self.assertEqual(theirs[uid], ours[uid])

    def test_mallard_gives_its_own_messages_byte_for_byte(self):
        """Also where WildDuck had stored the same bodies before, and lost some of their bytes."""
        found = bodies(self.mallard, "mallard.corpus")
        for (what, source), uid in zip(self.sources, sorted(found), strict=True):
            with self.subTest(what):
                self.assertEqual(found[uid], (len(source), source))

    def test_mallard_gives_wildducks_messages_as_they_came_or_as_wildduck_does(self):
        theirs, ours = (bodies(server, "wildduck.corpus") for server in self.both.values())
        restored = 0
        for (what, source), uid in zip(self.sources, sorted(theirs), strict=True):
            if theirs[uid] == ours[uid]:
                continue
            with self.subTest(what):
                # WildDuck loses line ends behind a stored body, and makes up for the length at the end.
                restored += 1
                self.assertEqual(ours[uid][1].replace(b"\r\n", b""), theirs[uid][1].rstrip(b" ").replace(b"\r\n", b""))
        print(f"{restored} of {len(theirs)} have line ends that WildDuck moves or loses", end=" ... ")

    def test_what_changes_at_either_is_seen_at_both(self):
        for number, (name, changer) in enumerate(self.both.items()):
            user = f"change{number}"
            self.add_user(changer, user)
            lmtp = Lmtp(changer.lmtp_port)
            for count in range(4):
                lmtp.deliver("s@example.com", [f"{user}@example.com"], message(f"number {count}"))
            lmtp.close()
            with self.subTest(changed_by=name), log_in(changer, user) as session:
                session.select("INBOX")
                session.create("Kept")
                session.store("1:2", "+FLAGS", r"(\Flagged $Label)")
                session.uid("MOVE", "3", "Kept")
                session.store("3", "+FLAGS", r"(\Deleted)")
                session.expunge()
                for watcher, server in self.both.items():
                    self.until(lambda: flags(server, user) == {1: {"\\Flagged", "$Label"}, 2: {"\\Flagged", "$Label"}},
                               f"{watcher}: {flags(server, user)}")
                    self.until(lambda: flags(server, user, "Kept") == {1: set()}, f"{flags(server, user, 'Kept')}")

    def test_an_open_mailbox_follows_the_other_server(self):
        self.add_user(self.wildduck, "open")
        sessions = {name: ImapSession(server.imap_port, "open", PASSWORD) for name, server in self.both.items()}
        for session in sessions.values():
            session.command("SELECT INBOX")
        seen = {name: {} for name in self.both}

        def look(name):
            sessions[name].command("NOOP")
            for response in sessions[name].command("UID FETCH 1:* (UID FLAGS)")[2]:
                if fetched := parse_fetch(response):
                    seen[name][fetched[1]["UID"]] = fetched[1]["FLAGS"]
            return seen[name]
        for uid, (name, server) in enumerate(self.both.items(), 1):
            lmtp = Lmtp(server.lmtp_port)
            lmtp.deliver("s@example.com", ["open@example.com"], message(name))
            lmtp.close()
            for watcher in self.both:
                self.until(lambda: uid in look(watcher), f"{watcher} does not see what {name} delivered")
            sessions[name].command(f"UID STORE {uid} +FLAGS (\\Answered)")
            for watcher in self.both:
                self.until(lambda: "\\Answered" in look(watcher)[uid], f"{watcher} does not see what {name} flagged")
        for session in sessions.values():
            session.close()

    def test_idle_wakes_for_the_other_server(self):
        self.add_user(self.mallard, "idle")
        names = list(self.both)
        for watcher, deliverer in (names, names[::-1]):
            session = ImapSession(self.both[watcher].imap_port, "idle", PASSWORD)
            session.socket.settimeout(NEWS_SECONDS_MAX)
            session.command("SELECT INBOX")
            session.send("IDLE")
            session.read_response()
            lmtp, took = Lmtp(self.both[deliverer].lmtp_port), []
            for count in range(ROUNDS):
                lmtp.deliver("s@example.com", ["idle@example.com"], message(f"{deliverer} {count}", **{"Message-ID": f"<{deliverer}.{count}@x>"}))
                done = time.monotonic()
                while b"EXISTS" not in session.read_response():
                    pass
                took.append(time.monotonic() - done)
            lmtp.close()
            session.close()
            print(f"{deliverer} delivers, {watcher} wakes after {1000 * statistics.median(took):.0f} ms (median)", end=" ... ")

    # -- at the same moment ------------------------------------------------------------------------------------------

    def at_once(self, *works):
        """Each in a thread of its own; they begin together."""
        ready = threading.Barrier(len(works))

        def do(work):
            ready.wait()
            return work()
        with concurrent.futures.ThreadPoolExecutor(len(works)) as pool:
            return [done.result() for done in [pool.submit(do, work) for work in works]]

    def test_uids_are_given_once_while_both_deliver(self):
        identity = self.add_user(self.mallard, "together")

        def deliver(server, name):
            lmtp = Lmtp(server.lmtp_port)
            for count in range(AT_ONCE):
                lmtp.deliver("s@example.com", ["together@example.com"], message(f"{name} {count}"))
            lmtp.close()

        def append(server, name):
            with log_in(server, "together") as session:
                for count in range(AT_ONCE):
                    kind, text = session.append("INBOX", "", DATE, message(f"{name} appended {count}"))
                    self.assertEqual(kind, "OK", text)
        self.at_once(*[lambda work=work, server=server, name=name: work(server, name)
                       for name, server in self.both.items() for work in (deliver, append)])
        stored = documents.of_user(self.database, identity)
        uids = [one["uid"] for one in stored]
        self.assertEqual(sorted(uids), list(range(1, 4 * AT_ONCE + 1)))
        self.assertEqual(len({one["subject"] for one in stored}), 4 * AT_ONCE)
        for name, server in self.both.items():
            self.until(lambda: sorted(flags(server, "together")) == sorted(uids), f"{name} does not show all")
        inbox = self.database.mailboxes.find_one({"user": stored[0]["user"], "path": "INBOX"})
        self.assertEqual(inbox["uidNext"], 4 * AT_ONCE + 1)
        used = self.database.users.find_one({"_id": stored[0]["user"]})["storageUsed"]
        self.assertEqual(used, sum(one["size"] for one in stored))
        self.assertEqual(self.mallard.check(), [])

    def test_flags_and_moves_of_both_at_once_lose_nothing(self):
        identity = self.add_user(self.wildduck, "apart")
        lmtp = Lmtp(self.mallard.lmtp_port)
        for count in range(AT_ONCE):
            lmtp.deliver("s@example.com", ["apart@example.com"], message(f"number {count}"))
        lmtp.close()
        with log_in(self.mallard, "apart") as session:
            session.create("Kept")

        def flag(server, name):
            with log_in(server, "apart") as session:
                session.select("INBOX")
                for uid in range(1, AT_ONCE // 2 + 1):
                    self.assertEqual(session.uid("STORE", str(uid), "+FLAGS.SILENT", f"({name})")[0], "OK")

        def move(server, first):
            with log_in(server, "apart") as session:
                session.select("INBOX")
                for uid in range(first, AT_ONCE + 1, 2):
                    self.assertEqual(session.uid("MOVE", str(uid), "Kept")[0], "OK")
        first = AT_ONCE // 2 + 1
        self.at_once(*[lambda server=server, name=name: flag(server, name) for name, server in self.both.items()],
                     *[lambda server=server, at=at: move(server, first + at) for at, server in enumerate(self.both.values())])
        kept = self.database.mailboxes.find_one({"path": "Kept", "user": {"$in": [one["user"] for one in documents.of_user(
            self.database, identity)]}})["_id"]
        stored = documents.of_user(self.database, identity)
        self.assertEqual(len({one["subject"] for one in stored}), AT_ONCE)
        self.assertEqual(len(stored), AT_ONCE)
        self.assertEqual(sorted(one["uid"] for one in stored if one["mailbox"] == kept), list(range(1, AT_ONCE - first + 2)))
        for one in stored:
            if one["mailbox"] != kept:
                self.assertLessEqual(set(self.both), set(one["flags"]), one["subject"])
        self.assertEqual(self.mallard.check(), [])

    def test_the_check_finds_nothing(self):
        self.assertEqual(self.mallard.check(), [])


def indexes(database):
    """{(collection, name): definition} of all."""
    out = {}
    for collection in database.list_collection_names():
        for index in database[collection].list_indexes():
            definition = dict(index, key=list(index["key"].items()))
            definition.pop("v")
            out[collection, definition.pop("name")] = definition
    return out


class OnEmptyDatabases(unittest.TestCase):
    # Of 1.51, for what Mallard has not.
    NEWER = {("messages", "outbound_message")}
    NEWER_COLLECTIONS = {"mcptokens"}

    def test_mallard_makes_the_indexes_that_wildduck_makes(self):
        with Cluster(nodes=1, kind="mongod") as cluster:
            url = cluster.mongo.url().replace("/mallard_test", "/wildduck_alone")
            ours = indexes(servers.database(cluster.mongo.url()))
            with WildDuck(url, cluster.redis.url()):
                end = time.monotonic() + INDEXES_SECONDS_MAX
                while not ours.keys() <= (theirs := indexes(servers.database(url))).keys() and time.monotonic() < end:
                    time.sleep(0.2)
        wanted = {place: definition for place, definition in theirs.items()
                  if place not in self.NEWER and place[0] not in self.NEWER_COLLECTIONS}
        self.assertEqual(wanted, ours)
        print(f"{len(ours)} indexes", end=" ... ")


class AwayFromWildDuck(unittest.TestCase):
    """All that WildDuck stored, moved to the embedded store."""

    def test_users_mailboxes_and_messages_are_as_they_were(self):
        with Cluster(nodes=1, kind="mongod") as cluster:
            mallard = cluster.nodes[0]
            with WildDuck(cluster.mongo.url(), cluster.redis.url()) as wildduck:
                BesideWildDuck.add_user(wildduck, "leaver")
                with log_in(wildduck, "leaver") as session:
                    session.create("Kept/Deep")
                    for number, (what, source) in enumerate(sources()):
                        mailbox = "Kept/Deep" if number % 10 == 0 else "INBOX"
                        kind, text = session.append(mailbox, r"(\Seen $Label)" if number % 3 else "", DATE, source)
                        self.assertEqual(kind, "OK", f"{what}: {text}")
                    session.select("INBOX")
                    session.uid("STORE", "3:5", "+FLAGS", r"(\Deleted)")
                    session.expunge()
                seen = self.seen(mallard)
            self.assertEqual(mallard.stop(), 0)
            words = ["migrate", "--from", "mongodb", "--to", "embedded"]
            for more in ([], ["--switch"]):
                done = mallard.command(*words, *more)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("both stores are equal", done.stdout)
            with MallardServer(data=mallard.data.parent) as moved:
                self.assertEqual(self.seen(moved), seen)
                for uid, (size, body) in bodies(moved, "leaver").items():
                    self.assertEqual(size, len(body), f"UID {uid}")
                self.assertEqual(moved.check(), [])

    def seen(self, server):
        read = {uid: body for uid, (_, body) in bodies(server, "leaver").items()}
        return read, flags(server, "leaver"), flags(server, "leaver", "Kept/Deep"), \
            self.marks(server, "INBOX"), self.marks(server, "Kept/Deep")

    @staticmethod
    def marks(server, mailbox):
        with log_in(server, "leaver") as session:
            return session.status(mailbox, "(UIDVALIDITY UIDNEXT HIGHESTMODSEQ MESSAGES UNSEEN)")


if __name__ == "__main__":
    run_cases(wildduck, servers.mongod, servers.import_pymongo)
