#!/usr/bin/env python3
"""Random commands on several IMAP sessions, LMTP and REST against a simple model; every untagged response is compared.

    model_test.py [--seed N] [--steps N] [--processes N [--on mongod|ferretdb]]

The steps are one after the other, so that what each session must be told is known exactly. A failure prints the seed
and the last steps; the same seed makes the same steps.

--processes: as many Mallard processes on one database; sessions, LMTP and REST are spread over them. What one of them did
another shows a moment later: a step waits for that, and then the model is as strict as with one process.
"""

import argparse
import collections
import pathlib
import random
import re
import smtplib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / folder) for folder in ("support", "cluster")]
from imap_session import ImapSession, parse_fetch, parse_set  # noqa: E402
from mallard_server import MallardServer  # noqa: E402
from model import Mailbox, View  # noqa: E402

SYSTEM = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]
KEYWORDS = ["$Forwarded", "NonJunk", "Later"]
USER, PASSWORD = "model@example.com", "secret-model"
SECONDS_TO_SHOW_MAX = 5  # what another process did: 200 ms are promised, this machine may be busy with other things


class Driver:
    def __init__(self, servers, seed):
        self.random = random.Random(seed)
        self.servers = servers
        self.server = servers[0]  # that of the step
        self.log = collections.deque(maxlen=40)
        self.boxes = {"INBOX": Mailbox(), "Other": Mailbox()}
        self.made = 0
        # They create, and ask for what the model must learn.
        self.controls = {server: ImapSession(server.imap_port, USER, PASSWORD) for server in servers}
        self.control.command("CREATE Other")
        self.ids = {box["path"]: box["id"]
                    for box in self.server.api("GET", f"/users/{self.server.user_id(USER)}/mailboxes")["results"]}
        self.sessions = [self.open_session(i) for i in range(max(4, 2 * len(servers)))]
        self.settled = dict.fromkeys(servers, True)
        self.slowest = 0.0
        for name, box in self.boxes.items():
            box.highest_modseq = self.status(name)["HIGHESTMODSEQ"]

    @property
    def control(self):
        return self.controls[self.server]

    def open_session(self, i):
        server = self.servers[i // 2 % len(self.servers)]
        session = ImapSession(server.imap_port, USER, PASSWORD)
        session.server = server
        session.condstore = i % 2 == 0
        if session.condstore:
            session.command("ENABLE CONDSTORE")
        session.name = None
        return session

    def message(self):
        self.made += 1
        size = self.random.choice([10, 200, 3000, 20000])
        text = "".join(self.random.choice("abcdefgh ") for _ in range(size))
        return (f"From: a@example.com\r\nTo: {USER}\r\nSubject: number {self.made}\r\n"
                f"Message-ID: <{self.made}@model>\r\n\r\n{text}\r\n").encode()

    def status(self, name):
        _, _, untagged = self.control.command(f"STATUS {name} (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")
        return {k: int(v) for k, v in re.findall(r"([A-Z]+) (\d+)", untagged[-1].decode().rsplit("(", 1)[1])}

    def learn_modseq(self, name):
        """After a change: the mailbox's modseq has grown, and is now that of what changed."""
        self.boxes[name].raise_modseq(self.status(name)["HIGHESTMODSEQ"])
        return self.boxes[name].highest_modseq

    def go_to(self, server):
        """The next step is made there: by now it must show what the others did."""
        self.server = server
        if not self.settled[server]:
            begin = time.monotonic()
            while (behind := [name for name, box in self.boxes.items()
                              if self.status(name)["HIGHESTMODSEQ"] != box.highest_modseq]):
                assert time.monotonic() - begin < SECONDS_TO_SHOW_MAX, \
                    f"another process does not show what happened to {behind}"
            self.slowest = max(self.slowest, time.monotonic() - begin)
        self.settled = {one: one is server for one in self.servers}

    # -- what the sessions are told ------------------------------------------------------------------------------

    def apply(self, session, untagged, expunges_allowed=True):
        view = session.view
        for response in untagged:
            if match := re.match(rb"^(\d+) EXPUNGE$", response):
                assert expunges_allowed, f"an EXPUNGE during FETCH, STORE or SEARCH (RFC 9051 §7.5.1): {response!r}"
                view.expunged(int(match.group(1)))
            elif match := re.match(rb"^(\d+) EXISTS$", response):
                view.exists(int(match.group(1)))
            elif fetch := parse_fetch(response):
                view.fetched(*fetch)
            elif not re.match(rb"^(\d+ RECENT|FLAGS |OK |SEARCH|STATUS|CAPABILITY|LIST |QUOTA)", response):
                raise AssertionError(f"unexpected untagged response {response!r}")

    def noop(self, session):
        status, text, untagged = session.command(self.random.choice(["NOOP", "CHECK"]))
        assert status == "OK", text
        before = dict(session.view.known)
        self.apply(session, untagged)
        session.view.in_step()
        # Every message whose flags changed since the session last heard of them has been told.
        for uid, flags in before.items():
            message = session.view.mailbox.messages.get(uid)
            assert not message or session.view.known[uid] == message.flags, \
                f"UID {uid}: the session was not told of {sorted(message.flags)} (it knows {sorted(flags)})"

    # -- steps ---------------------------------------------------------------------------------------------------

    def step_select(self, session):
        name = self.random.choice(list(self.boxes))
        status, text, untagged = session.command(f"SELECT {name}")
        assert status == "OK", text
        session.name, session.view = name, View(self.boxes[name])
        exists = next(int(m.group(1)) for r in untagged if (m := re.match(rb"^(\d+) EXISTS", r)))
        highest = next(int(m.group(1)) for r in untagged if (m := re.match(rb"^OK \[HIGHESTMODSEQ (\d+)", r)))
        uidnext = next(int(m.group(1)) for r in untagged if (m := re.match(rb"^OK \[UIDNEXT (\d+)", r)))
        assert highest == self.boxes[name].highest_modseq, f"HIGHESTMODSEQ {highest}, should be {self.boxes[name].highest_modseq}"
        assert uidnext > self.boxes[name].highest_uid
        session.view.select(exists)
        self.step_fetch_all(session)

    def step_fetch_all(self, session):
        status, text, untagged = session.command("FETCH 1:* (UID FLAGS MODSEQ)" if session.condstore else "FETCH 1:* (UID FLAGS)")
        # 1:* of an empty mailbox may be refused; what the session is told with it counts all the same.
        assert status == "OK" or not session.view.uids, text
        self.apply(session, untagged, expunges_allowed=False)

    def step_noop(self, session):
        self.noop(session)

    def step_append(self, session):
        name = self.random.choice(list(self.boxes))
        flags = frozenset(self.random.sample(SYSTEM + KEYWORDS, self.random.randint(0, 3)))
        body = self.message()
        tag = session.send(f"APPEND {name} ({' '.join(flags)}) {{{len(body)}+}}\r\n".encode() + body)
        status, text, untagged = session.finish(tag)
        assert status == "OK", text
        uid = int(re.search(r"APPENDUID \d+ (\d+)", text).group(1))
        box = self.boxes[name]
        box.add(uid, flags, self.learn_modseq(name), body)
        self.apply(session, untagged)

    def step_lmtp(self, _session):
        body = self.message()
        with smtplib.LMTP("127.0.0.1", self.server.lmtp_port) as lmtp:
            lmtp.sendmail("sender@example.com", [USER], body)
        box = self.boxes["INBOX"]
        uid = self.status("INBOX")["UIDNEXT"] - 1
        box.add(uid, frozenset(), self.learn_modseq("INBOX"), body)

    def step_api_upload(self, _session):
        name = self.random.choice(list(self.boxes))
        body = self.message()
        reply = self.server.api("POST", f"/users/{self.server.user_id(USER)}/mailboxes/{self.ids[name]}/messages", body,
                                content_type="message/rfc822")
        uid = reply["message"]["id"]
        seen = frozenset(["\\Seen"]) if "\\Seen" in self.flags_of(name, uid) else frozenset()
        self.boxes[name].add(uid, seen, self.learn_modseq(name), body)

    def flags_of(self, name, uid):
        self.control.command(f"EXAMINE {name}")
        _, _, untagged = self.control.command(f"UID FETCH {uid} (FLAGS)")
        self.control.command("UNSELECT")
        return next(f[1]["FLAGS"] for r in untagged if (f := parse_fetch(r)))

    def step_api_update(self, _session):
        name, box = self.random.choice(list(self.boxes.items()))
        if not box.messages:
            return
        uid = self.random.choice(list(box.messages))
        key, flag = self.random.choice([("seen", "\\Seen"), ("flagged", "\\Flagged"), ("draft", "\\Draft"), ("deleted", "\\Deleted")])
        value = self.random.random() < 0.5
        self.server.api("PUT", f"/users/{self.server.user_id(USER)}/mailboxes/{self.ids[name]}/messages/{uid}", {key: value})
        if changed := box.change([uid], "add" if value else "remove", frozenset([flag])):
            box.messages[changed[0]].modseq = self.learn_modseq(name)

    def step_api_delete(self, _session):
        name, box = self.random.choice(list(self.boxes.items()))
        if len(box.messages) < 5:
            return
        uid = self.random.choice(list(box.messages))
        self.server.api("DELETE", f"/users/{self.server.user_id(USER)}/mailboxes/{self.ids[name]}/messages/{uid}")
        box.remove([uid])
        self.learn_modseq(name)

    def some_uids(self, session):
        uids = session.view.uids
        if not uids:
            return []
        return sorted(self.random.sample(uids, self.random.randint(1, min(4, len(uids)))))

    def step_store(self, session):
        uids = self.some_uids(session)
        if not uids:
            return
        by_uid = self.random.random() < 0.5
        mode = self.random.choice(["set", "add", "remove"])
        flags = frozenset(self.random.sample(SYSTEM + KEYWORDS, self.random.randint(1, 3)))
        silent = ".SILENT" if self.random.random() < 0.3 else ""
        numbers = uids if by_uid else [session.view.uids.index(u) + 1 for u in uids]
        verb = {"set": "", "add": "+", "remove": "-"}[mode]
        tag = session.send(f"{'UID ' if by_uid else ''}STORE {','.join(map(str, numbers))} {verb}FLAGS{silent} ({' '.join(flags)})")
        # The model first: the responses speak of what is after the change.
        box = session.view.mailbox
        changed = box.change(uids, mode, flags)
        status, text, untagged = session.finish(tag)
        assert status == "OK" or not all(u in box.messages for u in uids), text
        if changed:
            modseq = self.learn_modseq(session.name)
            for uid in changed:
                box.messages[uid].modseq = modseq
        self.apply(session, untagged, expunges_allowed=by_uid)
        if silent:  # RFC 9051 §6.4.6: the client knows what it did
            for uid in changed:
                session.view.known[uid] = box.messages[uid].flags
        for uid in changed:
            assert session.view.known.get(uid) == box.messages[uid].flags, f"STORE did not tell of UID {uid}"

    def step_unchanged_since(self, session):
        if not session.condstore or not session.view.mailbox.messages:
            return
        uids = [u for u in self.some_uids(session) if u in session.view.mailbox.messages]
        if not uids:
            return
        box = session.view.mailbox
        since = self.random.choice([box.messages[u].modseq for u in uids] + [box.highest_modseq])
        refused = {u for u in uids if box.messages[u].modseq > since}
        tag = session.send(f"UID STORE {','.join(map(str, uids))} (UNCHANGEDSINCE {since}) +FLAGS ($Forwarded)")
        changed = box.change([u for u in uids if u not in refused], "add", frozenset(["$Forwarded"]))
        status, text, untagged = session.finish(tag)
        modified = re.search(r"MODIFIED ([\d:,]+)", text)
        told = set(parse_set(modified.group(1))) if modified else set()
        assert told == refused, f"MODIFIED {sorted(told)}, should be {sorted(refused)} (since {since})"
        if changed:
            modseq = self.learn_modseq(session.name)
            for uid in changed:
                box.messages[uid].modseq = modseq
        self.apply(session, untagged)

    def step_expunge(self, session):
        box = session.view.mailbox
        doomed = [u for u, m in box.messages.items() if "\\Deleted" in m.flags]
        if self.random.random() < 0.4 and doomed:
            doomed = sorted(self.random.sample(doomed, self.random.randint(1, len(doomed))))
            tag = session.send(f"UID EXPUNGE {','.join(map(str, doomed))}")
        else:
            tag = session.send("EXPUNGE")
        # What it has not been told of yet is expunged as well: \Deleted is the mailbox's, not the session's.
        box.remove(doomed)
        status, text, untagged = session.finish(tag)
        assert status == "OK", text
        if doomed:
            self.learn_modseq(session.name)
        self.apply(session, untagged)
        session.view.in_step()

    def step_copy(self, session):
        self.copy_or_move(session, "COPY")

    def step_move(self, session):
        self.copy_or_move(session, "MOVE")

    def copy_or_move(self, session, verb):
        uids = [u for u in self.some_uids(session) if u in session.view.mailbox.messages]
        target = self.random.choice([n for n in self.boxes if n != session.name])
        if not uids:
            return
        source, box = session.view.mailbox, self.boxes[target]
        tag = session.send(f"UID {verb} {','.join(map(str, uids))} {target}")
        gone = {u: source.messages[u] for u in uids}
        if verb == "MOVE":
            source.remove(uids)
        status, text, untagged = session.finish(tag)
        assert status == "OK", text
        everything = text + " ".join(r.decode("latin-1") for r in untagged)
        match = re.search(r"COPYUID \d+ ([\d:,]+) ([\d:,]+)", everything)
        assert parse_set(match.group(1)) == uids, f"COPYUID {match.group(0)} for {uids}"
        modseq = self.learn_modseq(target)
        for old, new in zip(uids, parse_set(match.group(2)), strict=True):
            box.add(new, gone[old].flags, modseq, gone[old].body)
        if verb == "MOVE":
            self.learn_modseq(session.name)
        self.apply(session, untagged)

    def step_body(self, session):
        uids = [u for u in self.some_uids(session) if u in session.view.mailbox.messages]
        if not uids:
            return
        status, text, untagged = session.command(f"UID FETCH {uids[0]} BODY.PEEK[]")
        assert status == "OK", text
        got = next(r for r in untagged if b"BODY[]" in r)
        size = int(re.search(rb"BODY\[\] \{(\d+)\}\r\n", got).group(1))
        at = re.search(rb"BODY\[\] \{\d+\}\r\n", got).end()
        assert got[at:at + size].endswith(session.view.mailbox.messages[uids[0]].body), f"UID {uids[0]}: other bytes than were given"
        self.apply(session, [r for r in untagged if r is not got])

    def step_search(self, session):
        self.noop(session)  # now the session's view is the mailbox, and the answer is known exactly
        key = self.random.choice(["FLAGGED", "UNSEEN", "DELETED", "ALL", "KEYWORD Later"])
        status, text, untagged = session.command("UID SEARCH " + key)
        assert status == "OK", text
        found = {int(n) for r in untagged if r.startswith(b"SEARCH") for n in re.findall(rb"\d+", r)}
        wanted = {"FLAGGED": lambda f: "\\Flagged" in f, "UNSEEN": lambda f: "\\Seen" not in f, "ALL": lambda f: True,
                  "DELETED": lambda f: "\\Deleted" in f, "KEYWORD Later": lambda f: "Later" in f}[key]
        right = {u for u, m in session.view.mailbox.messages.items() if wanted(m.flags)}
        assert found == right, f"UID SEARCH {key}: {sorted(found)}, should be {sorted(right)}"

    def step_status(self, _session):
        name, box = self.random.choice(list(self.boxes.items()))
        status = self.status(name)
        unseen = sum("\\Seen" not in m.flags for m in box.messages.values())
        assert (status["MESSAGES"], status["UNSEEN"]) == (len(box.messages), unseen), \
            f"STATUS {name}: {status}, should be {len(box.messages)} messages, {unseen} unseen"
        assert status["HIGHESTMODSEQ"] == box.highest_modseq

    STEPS = (("append", 6), ("lmtp", 5), ("api_upload", 2), ("api_update", 4), ("api_delete", 1), ("store", 10),
             ("unchanged_since", 3), ("expunge", 2), ("copy", 2), ("move", 2), ("noop", 8), ("fetch_all", 3), ("body", 3),
             ("search", 3), ("status", 2), ("select", 2))

    def run(self, steps):
        for session in self.sessions:
            self.go_to(session.server)
            self.step_select(session)
        names, weights = zip(*self.STEPS)
        for number in range(steps):
            session = self.random.choice(self.sessions)
            name = self.random.choices(names, weights)[0]
            self.log.append(f"{number}: session {self.sessions.index(session)} ({session.name}) {name}")
            self.go_to(session.server)
            getattr(self, "step_" + name)(session)
        for session in self.sessions:
            self.go_to(session.server)
            self.noop(session)
            self.step_fetch_all(session)


def test(servers, options):
    driver = Driver(servers, options.seed)
    try:
        driver.run(options.steps)
    except Exception:
        print("\n".join(driver.log), f"seed {options.seed}", sep="\n", file=sys.stderr)
        raise
    problems = servers[0].check()
    assert problems == [], problems
    return driver


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--on")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.steps} steps", flush=True)
    if options.processes is None:
        with MallardServer() as server:
            server.add_user(USER, PASSWORD)
            test([server], options)
    else:
        from cluster import Cluster, servers
        try:
            with Cluster(nodes=options.processes, kind=options.on) as cluster:
                cluster.add_user(USER, PASSWORD)
                driver = test(cluster.nodes, options)
                print(f"another process showed each change within {driver.slowest * 1000:.0f} ms at most")
        except servers.Missing as why:
            print(f"skipped: {why}")
            sys.exit(77)
    print(f"seed {options.seed}: {options.steps} steps as the model says")


if __name__ == "__main__":
    main()
