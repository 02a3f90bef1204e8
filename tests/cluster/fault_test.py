#!/usr/bin/env python3
"""Several processes on one database under load, while one of them, the database, Redis or the network fails.

    fault_test.py [--seed N] [--seconds 4] [--faults process,database,stepdown,redis,cuts,pause] [--on mongod|mongod_set]
    fault_test.py --workers 3 [--faults workers,database,stepdown,redis] …

Two servers, or with --workers one of so many processes under its supervisor. While threads deliver (LMTP), append, change
flags, move, copy and expunge (IMAP), and upload, change, move and remove (REST) through all of them, the fault comes and
goes. All that clients are told meanwhile is a temporary error; afterwards each of them gets on by itself. Then every acknowledged
message is there once and byte-identical, acknowledged changes have happened, no UID stands for two messages, all processes
show the same, and `mallard check` finds nothing once it has repaired the counters.
"""

import argparse
import http.client
import os
import random
import re
import signal
import smtplib
import sys
import threading
import time

import cluster as cluster_module
from cluster import Cluster
from crash_test import Ledger, fetch_all
from fault_proxy import DIRECTIONS
from imap_session import ImapSession, parse_fetch, parse_set
from mallard_server import ApiError
from wire import Wire
from worker_processes import owner_of, workers

USER, PASSWORD = "crash@example.com", "secret-crash"
MAILBOXES = ("INBOX", "Copies", "Moved")
RECOVERY_SECONDS_MAX = 60  # a lock that died with its holder runs out after 30, and then all want it
WITHHELD_SECONDS_MAX = 20  # by decision 0020: 10


class Broken(Exception):
    """A temporary error, or a connection that ended: come back later."""


def temporary(status, text):
    assert status in ("OK", "NO"), f"{status} {text}: not a temporary error"
    if status == "NO":
        assert re.match(r"\[(UNAVAILABLE|TEMPFAIL|INUSE|LIMIT|EXPUNGEISSUED)\]", text), \
            f"NO {text}: not a temporary error"
        raise Broken(text)
    return text


def processes(node):
    """The pids of those of its processes that serve."""
    return set(workers(node).values()) or {node.process.pid}


class Worker(threading.Thread):
    """Does its work over and over, comes back after a temporary error, and counts what was acknowledged."""

    def __init__(self, load, node, name, seed):
        super().__init__(name=f"{name}@{load.cluster.nodes.index(node)}", daemon=True)
        self.load, self.ledger, self.node, self.work = load, load.ledger, node, getattr(self, name)
        self.random = random.Random(seed)
        self.acknowledged = 0
        self.interrupted = 0
        self.failure = None
        self.doing = "nothing yet"  # for who reads a failure

    def run(self):
        while not self.load.stop.is_set() and self.failure is None:
            try:
                self.work()
            except (Broken, OSError, smtplib.SMTPException, http.client.HTTPException) as error:
                self.interrupted += 1
                if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500:
                    self.failure = f"{self.name}: {error}"
                self.load.stop.wait(0.05)  # as a client that comes back
            except Exception as error:  # noqa: BLE001
                self.failure = f"{self.name}: {type(error).__name__}: {error}"

    def going_on(self):
        return not self.load.stop.is_set()

    def session(self):
        session = ImapSession(self.node.imap_port)
        status, text, _ = session.command(f'LOGIN "{USER}" "{PASSWORD}"')
        temporary(status, text)
        return session

    def command(self, session, text):
        self.doing = text
        status, reply, untagged = session.command(text)
        self.doing = f"after {text}: {status} {reply}"
        return temporary(status, reply), untagged

    def deliver(self):
        with smtplib.LMTP("127.0.0.1", self.node.lmtp_port, timeout=60) as lmtp:
            for _ in range(20):
                if not self.going_on():
                    return
                number, body = self.ledger.message(self.random, self.random.random() < 0.03)
                try:
                    lmtp.sendmail("s@example.com", [USER], body)
                except smtplib.SMTPRecipientsRefused as refused:
                    code, text = refused.recipients[USER]
                    assert code < 500, f"{code} {text!r}: not a temporary error"
                    raise Broken(text) from None
                with self.ledger.lock:
                    self.ledger.stored.add(number)
                self.acknowledged += 1

    def append(self):
        session = self.session()
        while self.going_on():
            number, body = self.ledger.message(self.random, False)
            status, text, _ = session.append("INBOX", body)
            temporary(status, text)
            self.load.stored_as(number, int(re.search(r"APPENDUID \d+ (\d+)", text).group(1)))
            self.acknowledged += 1

    def rest(self):
        """Each request on a connection of its own, so that any process may answer it."""
        while self.going_on():
            action = self.random.choice(["upload", "update", "move", "remove", "list"])
            if action in ("upload", "list"):
                done = getattr(self, "rest_" + action)()
            else:
                uids = self.load.known_uids()
                done = uids and getattr(self, "rest_" + action)(self.random.choice(uids))
            if done:
                self.acknowledged += 1

    def ask(self, method, path, body=None, **how):
        """The reply of the INBOX's resource; None: this process does not know the message (yet, or any more)."""
        self.doing = f"{method} {path}"
        try:
            return self.node.api(method, f"/users/{self.node.user_id(USER)}/mailboxes/{self.load.ids['INBOX']}/{path}", body, **how)
        except ApiError as error:
            assert error.status in (404, 503), f"{error}: not a temporary error"
            if error.status == 404:
                return None
            raise Broken(error.body) from None

    def rest_upload(self):
        number, body = self.ledger.message(self.random, False)
        reply = self.ask("POST", "messages", body, content_type="message/rfc822")
        self.load.stored_as(number, reply["message"]["id"])
        return True

    def rest_list(self):
        ids = [message["id"] for message in self.ask("GET", "messages?limit=100")["results"]]
        assert len(set(ids)) == len(ids), f"a list with a message twice: {ids}"
        return True

    def rest_update(self, uid):
        if not (reply := self.ask("PUT", f"messages/{uid}", {"flagged": True})):
            return False
        assert reply["updated"] == 1, reply
        with self.ledger.lock:
            self.ledger.flagged[uid] = True
        return True

    def rest_move(self, uid):
        if not self.load.take([uid], "move"):
            return False
        if not (reply := self.ask("PUT", f"messages/{uid}", {"moveTo": self.load.ids["Moved"]})):
            return False
        self.load.moved_as(dict(reply["id"]))
        return bool(reply["id"])

    def rest_remove(self, uid):
        if not self.load.take([uid], "remove") or not self.ask("DELETE", f"messages/{uid}"):
            return False
        with self.ledger.lock:
            self.ledger.gone.add(uid)
        return True

    def change(self):
        session = self.session()
        self.command(session, "SELECT INBOX")
        while self.going_on():
            self.command(session, "NOOP")
            uids = self.load.known_uids()
            if not uids:
                continue
            some = self.seen(session, sorted(self.random.sample(uids, min(3, len(uids)))))
            if not some:
                continue
            action = self.random.choice(["flag", "flag", "copy", "move", "expunge"])
            if action in ("move", "expunge"):
                some = self.load.take(some, action)
                if not some:
                    continue  # another worker was faster
            getattr(self, action)(session, some)
            self.acknowledged += 1

    def seen(self, session, some):
        """Those of them that the session knows of already: of others a STORE would be silent."""
        _, untagged = self.command(session, f"UID FETCH {','.join(map(str, some))} (UID)")
        return sorted(f[1]["UID"] for r in untagged if (f := parse_fetch(r)) and f[1].get("UID") in some)

    def flag(self, session, some):
        self.command(session, f"UID STORE {','.join(map(str, some))} +FLAGS.SILENT (\\Flagged)")
        with self.ledger.lock:
            self.ledger.flagged.update({u: True for u in some})

    def copied(self, some, reply):
        match = re.search(r"COPYUID \d+ ([\d:,]+) ([\d:,]+)", reply)
        return dict(zip(parse_set(match.group(1)), parse_set(match.group(2)), strict=True)) if match else {}

    def copy(self, session, some):
        reply, _ = self.command(session, f"UID COPY {','.join(map(str, some))} Copies")
        with self.ledger.lock:
            for old, new in self.copied(some, reply).items():
                self.ledger.copies[new] = self.ledger.uids.get(("INBOX", old))

    def move(self, session, some):
        reply, untagged = self.command(session, f"UID MOVE {','.join(map(str, some))} Moved")
        everything = reply + " ".join(r.decode("latin-1") for r in untagged)
        self.load.moved_as(self.copied(some, everything))

    def expunge(self, session, some):
        text = ",".join(map(str, some))
        self.command(session, f"UID STORE {text} +FLAGS.SILENT (\\Deleted)")
        self.command(session, f"UID EXPUNGE {text}")
        with self.ledger.lock:
            self.ledger.gone.update(some)


class Load:
    WORK = ("deliver", "append", "change", "change", "rest")

    def __init__(self, cluster, rng):
        self.cluster, self.random = cluster, rng
        self.ledger = Ledger()
        server = cluster.nodes[0]
        self.ids = {box["path"]: box["id"] for box in server.api("GET", f"/users/{server.user_id(USER)}/mailboxes")["results"]}
        self.in_doubt = set()  # numbers whose move is not acknowledged: in INBOX or in Moved
        self.moved = {}        # uid of Moved -> number, acknowledged
        self.taken = set()     # uids of INBOX that someone moves or expunges
        self.workers = []

    def known_uids(self):
        """UIDs of INBOX that are no one's yet, whose messages are known."""
        with self.ledger.lock:
            return [uid for (mailbox, uid), _ in self.ledger.uids.items()
                    if mailbox == "INBOX" and uid not in self.taken]

    def stored_as(self, number, uid):
        with self.ledger.lock:
            self.ledger.stored.add(number)
            known = self.ledger.uids.setdefault(("INBOX", uid), number)
        assert known == number, f"UID {uid} used twice"

    def moved_as(self, uids):
        """From INBOX to Moved, acknowledged: {old UID: new UID}."""
        with self.ledger.lock:
            for old, new in uids.items():
                number = self.ledger.uids[("INBOX", old)]
                self.in_doubt.discard(number)
                self.moved[new] = number
                self.ledger.gone.add(old)

    def take(self, some, action):
        """Those of them that are no one's yet. From here on they may or may not be in INBOX."""
        with self.ledger.lock:
            some = [u for u in some if u not in self.taken]
            self.taken.update(some)
            for uid in some:
                number = self.ledger.uids[("INBOX", uid)]
                self.ledger.stored.discard(number)
                self.ledger.flagged.pop(uid, None)
                if action == "move":
                    self.in_doubt.add(number)
        return some

    def start(self):
        self.stop = threading.Event()
        self.workers = [Worker(self, node, name, self.random.random())
                        for node in self.cluster.nodes for name in self.WORK * (2 if self.cluster.workers else 1)]
        for worker in self.workers:
            worker.start()

    def failed(self):
        return [w.failure for w in self.workers if w.failure]

    def wait_for_progress(self, what):
        """Every worker gets something done from now on."""
        before = [w.acknowledged for w in self.workers]
        end = time.monotonic() + RECOVERY_SECONDS_MAX
        while any(w.acknowledged <= b for w, b in zip(self.workers, before)):
            assert not self.failed(), self.failed()
            stuck = [f"{w.name} ({w.doing})" for w, b in zip(self.workers, before) if w.acknowledged <= b]
            assert time.monotonic() < end, f"{what}: {stuck} got nothing done in {RECOVERY_SECONDS_MAX} s"
            time.sleep(0.02)

    def finish(self):
        self.stop.set()
        for worker in self.workers:
            worker.join(RECOVERY_SECONDS_MAX)
            assert not worker.is_alive(), f"{worker.name} hangs"
        assert not self.failed(), self.failed()
        return sum(w.acknowledged for w in self.workers), sum(w.interrupted for w in self.workers)

    def connections_counted(self):
        """What Redis holds against the user's limit of connections."""
        redis = Wire(self.cluster.redis.port)
        try:
            user = self.cluster.nodes[0].user_id(USER).encode()
            redis.send(b"SELECT 3\r\nHGET lim:imap " + user + b"\r\n")
            assert redis.line() == b"+OK\r\n"
            head = redis.line()
            return 0 if head == b"$-1\r\n" else int(redis.line())
        finally:
            redis.close()

    def wait_for_no_connection(self):
        """A connection that ended while Redis was away must not count for ever."""
        end = time.monotonic() + RECOVERY_SECONDS_MAX
        while counted := self.connections_counted():
            assert time.monotonic() < end, f"{counted} connections are counted, none is open"
            time.sleep(0.05)

    def verify(self):
        """A new message is withheld while one with a lower UID may still be on its way (decision 0020): then look again."""
        end = time.monotonic() + WITHHELD_SECONDS_MAX
        while True:
            try:
                return self.compare()
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def sessions(self):
        """One with each process."""
        for node in self.cluster.nodes:
            left = processes(node)
            while left:
                session = ImapSession(node.imap_port, USER, PASSWORD)
                pid = owner_of(node.imap_port, session.socket.getsockname()[1])
                if pid in left:
                    left.discard(pid)
                    yield session
                session.command("LOGOUT")
                session.close()

    def compare(self):
        sights = [{mailbox: fetch_all(session, mailbox) for mailbox in MAILBOXES} for session in self.sessions()]
        self.wait_for_no_connection()
        for mailbox in MAILBOXES:
            first, *others = ({uid: (number, flags) for uid, (number, flags, _) in sight[mailbox].items()}
                              for sight in sights)
            for other in others:
                differ = [uid for uid in first.keys() | other.keys() if first.get(uid) != other.get(uid)]
                assert not differ, f"{mailbox}: the processes do not show the same of UIDs {sorted(differ)[:5]}: " \
                    f"{[(first.get(u), other.get(u)) for u in sorted(differ)[:5]]}"
        found, ledger = sights[0], self.ledger
        inbox = {uid: number for uid, (number, _, _) in found["INBOX"].items()}
        moved = {uid: number for uid, (number, _, _) in found["Moved"].items()}
        for name, numbers in (("INBOX", inbox), ("Moved", moved)):
            assert len(set(numbers.values())) == len(numbers), f"{name}: a message is there twice"
        missing = ledger.stored - set(inbox.values())
        assert not missing, f"acknowledged but gone: {sorted(missing)[:10]} ({len(missing)} in all)"
        lost = self.in_doubt - set(inbox.values()) - set(moved.values())
        assert not lost, f"lost in a move: {sorted(lost)[:10]}"
        twice = set(inbox.values()) & set(moved.values()) - self.in_doubt
        assert not twice, f"moved, but in INBOX too: {sorted(twice)[:10]}"
        doubled = set(inbox.values()) & set(moved.values())
        for uid, number in self.moved.items():
            assert moved.get(uid) == number, f"Moved UID {uid} should be message {number}, is {moved.get(uid)}"
        for mailbox, messages in found.items():
            for uid, (number, _, body) in messages.items():
                assert body.endswith(ledger.bodies[number]), f"{mailbox} UID {uid}: other bytes than were sent"
                known = ledger.uids.setdefault((mailbox, uid), number)
                assert known == number, f"{mailbox} UID {uid} was message {known}, now it is {number}"
        for uid in ledger.flagged:
            assert uid not in inbox or "\\Flagged" in found["INBOX"][uid][1], f"INBOX UID {uid} lost its flag"
        assert not ledger.gone & set(inbox), f"expunged but there: {sorted(ledger.gone & set(inbox))[:10]}"
        lost = {u for u in ledger.copies if u not in found["Copies"]}
        assert not lost, f"copied but gone: {sorted(lost)[:10]}"
        return len(inbox), len(moved), len(found["Copies"]), len(doubled)


class Faults:
    """Each comes and goes; the load runs on."""

    def __init__(self, cluster, rng):
        self.cluster, self.random = cluster, rng

    def none(self, seconds):
        time.sleep(seconds)

    def process(self, seconds):
        node = self.random.choice(self.cluster.nodes)
        time.sleep(seconds / 2)
        node.kill()
        time.sleep(self.random.uniform(0.05, 0.5))
        node.start()

    def workers(self, seconds):
        """Each of the workers in turn; the supervisor starts another in its place."""
        for pid in list(workers(self.cluster.nodes[0]).values()):
            time.sleep(seconds / self.cluster.workers)
            os.kill(pid, signal.SIGKILL)
            self.cluster.wait_for_workers(without=pid)

    def database(self, seconds):
        time.sleep(seconds / 2)
        self.cluster.mongo.kill()
        time.sleep(self.random.uniform(0.05, 1.0))
        self.cluster.mongo.start()

    def stepdown(self, seconds):
        """The database has no primary for a while: shorter than a call waits for one, then longer."""
        for lasts in (1, 10):
            time.sleep(seconds / 2)
            self.cluster.mongo.step_down(lasts)
            time.sleep(lasts)

    def redis(self, seconds):
        time.sleep(seconds / 2)
        self.cluster.redis.kill()
        time.sleep(self.random.uniform(0.05, 1.0))
        self.cluster.redis.start()

    def cuts(self, seconds):
        """Now all connections, now the one that carries a certain byte."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            proxy = self.random.choice([self.cluster.mongo_proxy] * 3 + [self.cluster.redis_proxy])
            if self.random.random() < 0.3:
                proxy.cut()
            else:
                proxy.cut_after(self.random.randint(0, 40_000), self.random.choice(DIRECTIONS))
            time.sleep(self.random.uniform(0.05, 0.4))
        for proxy in self.cluster.proxies:
            for direction in DIRECTIONS:
                proxy.cut_after(None, direction)

    def pause(self, seconds):
        """The network holds everything back, then lets it through, then loses what it held."""
        for _ in range(2):
            time.sleep(seconds / 4)
            for proxy in self.cluster.proxies:
                proxy.hold()
            time.sleep(seconds / 8)
            if self.random.random() < 0.5:
                self.cluster.mongo_proxy.cut()
            for proxy in self.cluster.proxies:
                proxy.release()
        self.cluster.mongo_proxy.refuse()
        time.sleep(0.5)
        self.cluster.mongo_proxy.accept()


def check(cluster):
    """What the sweeper and the check mend is drift of counters; after it nothing may be left."""
    repaired = cluster.nodes[0].command("check", "--repair")
    problems = cluster.nodes[-1].check()
    assert not problems, "\n".join(problems)
    return repaired.stdout.strip().splitlines()[-1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--faults", help="default: all that there are")
    parser.add_argument("--on", choices=cluster_module.servers.MONGO_KINDS)
    options = parser.parse_args()
    names = options.faults or ("none,workers,database,stepdown,redis" if options.workers else
                               "none,process,database,stepdown,redis,cuts,pause")
    rng = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    try:
        with Cluster(nodes=1 if options.workers else 2, workers=options.workers, proxied=not options.workers,
                     kind=options.on) as cluster:
            # Connections of a process that was killed count until the next one that starts takes a login.
            cluster.add_user(USER, PASSWORD, quota=100_000_000_000, imapMaxConnections=1000)
            session = ImapSession(cluster.nodes[0].imap_port, USER, PASSWORD)
            for mailbox in MAILBOXES[1:]:
                session.command(f"CREATE {mailbox}")
            session.close()
            load, faults = Load(cluster, rng), Faults(cluster, rng)
            try:
                for name in names.split(","):
                    load.start()
                    load.wait_for_progress(f"before {name}")
                    getattr(faults, name)(options.seconds)
                    begin = time.monotonic()
                    load.wait_for_progress(f"after {name}")
                    recovered = time.monotonic() - begin
                    acknowledged, interrupted = load.finish()
                    inbox, moved, copies, doubled = load.verify()
                    repaired = check(cluster)
                    print(f"{name}: {acknowledged} acknowledged, {interrupted} temporary errors, all clients on their way "
                          f"{recovered:.1f} s after it; {inbox} messages, {moved} moved, {copies} copies, as "
                          f"acknowledged; {doubled} in both after an unacknowledged move; {repaired}", flush=True)
            except BaseException:
                print(cluster.logs(), f"seed {options.seed}", sep="\n", file=sys.stderr)
                raise
    except cluster_module.servers.Missing as why:
        print(f"skipped: {why}")
        sys.exit(77)


if __name__ == "__main__":
    main()
