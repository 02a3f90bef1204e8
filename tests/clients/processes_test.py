#!/usr/bin/env python3
"""Several processes behind the same ports: one may die, all may be rolled, and nobody is refused."""

import collections
import imaplib
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import unittest

from common import BINARY, PASSWORD, STOP_SECONDS_MAX, MallardServer, cases, clean_environment, message, trusting_tls
from wire import Lmtp
from worker_processes import metric, owner_of, workers

USER = "ann@example.com"
MONGO, REDIS = (os.environ.get(f"MALLARD_TEST_{name}_URL", "") for name in ("MONGO", "REDIS"))


redis_numbers = itertools.cycle(range(1, 16))


def cluster_settings():
    """Databases of its own on the servers that tests/mongo/with-servers started."""
    name = f"processes_{os.getpid()}_{time.monotonic_ns()}"
    return {"store": "mongodb", "dbs.mongo": "/".join([*MONGO.split("/")[:3], name]), "dbs.redis": "/".join([*REDIS.split("/")[:3], str(next(redis_numbers))]),
            "dbs.workerId": name}


def wait_until(what, holds, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


@unittest.skipUnless(MONGO and REDIS, "no test servers: run under tests/mongo/with-servers")
class Processes(unittest.TestCase):
    """The server of each test: three workers, and one account."""

    settings = {"processes": 3}
    count = 3

    def setUp(self):
        self.server = MallardServer({**cluster_settings(), **self.settings})
        self.server.start()
        self.addCleanup(self.server.__exit__)
        wait_until("all workers run", lambda: metric(self.server, "mallard_workers") == self.count)
        self.server.add_user(USER, PASSWORD)

    def login(self):
        client = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        client.login(USER, PASSWORD)
        client.select()
        return client

    def by_worker(self, count):
        """IMAP clients, one with each of `count` workers."""
        out = {}
        end = time.monotonic() + 60
        while len(out) < count and time.monotonic() < end:
            client = self.login()
            out.setdefault(owner_of(self.server.imap_port, client.sock.getsockname()[1]), client)
        self.assertEqual(len(out), count)
        return out

    def log(self):
        return self.server.log_path.read_text()

    def deliver(self, subject="hello"):
        lmtp = Lmtp(self.server.lmtp_port)
        lmtp.deliver("a@example.com", [USER], message(subject))
        lmtp.close()


class Kill(Processes):
    def test_kill_9_of_one_worker_leaves_the_others_at_work_and_it_returns(self):
        clients = self.by_worker(3)
        before = workers(self.server)
        victim, *others = clients
        os.kill(victim, signal.SIGKILL)
        with self.assertRaises((imaplib.IMAP4.abort, OSError)):
            clients[victim].noop()
        for pid in others:
            self.assertEqual(clients[pid].append("INBOX", None, None, message("still there"))[0], "OK")
        wait_until("three workers again", lambda: metric(self.server, "mallard_workers") == 3)
        after = workers(self.server)
        self.assertEqual(len(set(before.values()) - set(after.values())), 1)
        self.assertIn("signal 9 (Killed)", self.log())
        self.assertEqual(metric(self.server, "mallard_worker_restarts_total"), 1)
        self.assertEqual(self.login().select()[1], [b"2"])
        self.assertEqual(self.server.check(), [])

    def test_a_worker_that_fails_again_waits_longer_each_time(self):
        for _ in range(4):
            pid = workers(self.server)["2"]
            os.kill(pid, signal.SIGKILL)
            wait_until("it is back", lambda: workers(self.server).get("2", pid) != pid)
        pauses = [line.split("pause=")[1].split()[0].strip('"') for line in self.log().splitlines() if "pause=" in line]
        self.assertEqual(pauses, ["100", "200", "400", "800"], self.log())

    def test_workers_whose_supervisor_is_killed_end(self):
        pids = workers(self.server).values()
        self.server.kill()
        wait_until("the workers are gone", lambda: not any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in pids))
        self.server.start()  # the ports are free again


class Stop(Processes):
    def test_sigterm_drains_all_workers(self):
        idle = self.by_worker(3)
        lmtp = Lmtp(self.server.lmtp_port)
        lmtp.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<" + USER.encode() + b">\r\nDATA\r\n")
        for code in (b"250", b"250", b"354"):
            lmtp.reply(code)
        start = time.monotonic()
        pids = workers(self.server).values()
        self.server.process.send_signal(signal.SIGTERM)
        for client in idle.values():
            self.assertIn(b"BYE", client.readline())
        lmtp.send(message("in flight") + b".\r\n")
        self.assertEqual(lmtp.reply(b"250")[:3], b"250")
        self.assertEqual(self.server.process.wait(15), 0)
        self.assertLess(time.monotonic() - start, STOP_SECONDS_MAX)
        for pid in pids:
            self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())
        self.assertFalse((self.server.data / "control.sock").exists())
        self.server.start()
        self.assertEqual(self.login().select()[1], [b"1"])

    def test_sigterm_kills_a_worker_that_hangs(self):
        pid = workers(self.server)["2"]
        os.kill(pid, signal.SIGSTOP)
        start = time.monotonic()
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.server.process.wait(15), 0)
        self.assertLess(time.monotonic() - start, STOP_SECONDS_MAX)
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())


class Roll(Processes):
    def test_sighup_replaces_every_worker_and_refuses_nobody(self):
        before = set(workers(self.server).values())
        rolled, failures, counts = threading.Event(), [], collections.Counter()

        def visit(name, once):
            while not rolled.is_set():
                try:
                    once()
                    counts[name] += 1
                except Exception as error:  # noqa: BLE001: whatever it is, the test names it
                    failures.append(f"{name}: {error!r}")

        def greet():
            with socket.create_connection(("127.0.0.1", self.server.imap_port), timeout=10) as plain:
                greeting = plain.recv(1000)
                if not greeting.startswith(b"* OK"):
                    raise AssertionError(greeting)

        def greet_tls():
            with socket.create_connection(("127.0.0.1", self.server.imaps_port), timeout=10) as plain, \
                    trusting_tls().wrap_socket(plain) as tls:
                if not tls.recv(1000).startswith(b"* OK"):
                    raise AssertionError("no greeting")

        def rest():
            metric(self.server, "wildduck_info")

        threads = [threading.Thread(target=visit, args=(once.__name__, once))
                   for once in (greet, greet_tls, rest, self.deliver)]
        for thread in threads:
            thread.start()
        try:
            self.server.process.send_signal(signal.SIGHUP)
            wait_until("all are new", lambda: len(now := set(workers(self.server).values())) == 3 and not now & before, 60)
        finally:
            rolled.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        for name in ("greet", "greet_tls", "rest", "deliver"):
            self.assertGreater(counts[name], 5, counts)
        self.assertEqual(self.login().select()[1], [str(counts["deliver"]).encode()])
        self.assertEqual(metric(self.server, 'mallard_reloads_total{result="ok"}'), 1)

    def test_a_bad_configuration_keeps_the_old_workers_and_says_why(self):
        self.server.stop()
        config = self.server.use_file()
        kept = config.read_text()
        self.server.start()
        wait_until("all workers run", lambda: metric(self.server, "mallard_workers") == 3)
        before = workers(self.server)
        client = self.login()
        (self.server.data.parent / "bad.pem").write_text("no certificate")
        for number, (text, why) in enumerate((
                ('imap.prot = 1\n', "did you mean"),
                (f'tls.cert = "{config.parent}/bad.pem"\ntls.key = "{config.parent}/bad.pem"\n', "bad.pem"),
                ('imap.host = "203.0.113.1"\n', "no interface"), ('processes = 0\n', "processes must be"))):
            config.write_text(kept.replace("processes = 3\n", "") + text)
            self.server.process.send_signal(signal.SIGHUP)
            wait_until("it is refused", lambda: self.log().count("reload failed") == number + 1)
            self.assertIn(why, self.log().splitlines()[-1])
        self.assertEqual(workers(self.server), before)
        self.assertEqual(client.noop()[0], "OK")


class Metrics(Processes):
    def test_metrics_are_the_sum_over_all_workers(self):
        clients = self.by_worker(3)
        self.assertGreaterEqual(metric(self.server, 'wildduck_connections{service="imap"}'), 3)
        before = metric(self.server, 'wildduck_lmtp_messages_total{result="success"}') or 0
        for _ in range(20):
            self.deliver()
        self.assertEqual(metric(self.server, 'wildduck_lmtp_messages_total{result="success"}'), before + 20)
        os.kill(next(iter(clients)), signal.SIGKILL)
        wait_until("three workers again", lambda: metric(self.server, "mallard_workers") == 3)
        self.assertEqual(metric(self.server, 'wildduck_lmtp_messages_total{result="success"}'), before + 20)


class Roles(Processes):
    settings = {"roles": "imap=2,lmtp+pop3,api"}
    count = 4

    def test_each_service_runs_in_the_processes_of_its_role(self):
        names = workers(self.server)
        self.assertEqual(sorted(names), ["1 imap", "2 imap", "3 lmtp+pop3", "4 api"])
        self.assertEqual(set(self.by_worker(2)), {names["1 imap"], names["2 imap"]})
        lmtp = socket.create_connection(("127.0.0.1", self.server.lmtp_port))
        lmtp.recv(100)
        self.assertEqual(owner_of(self.server.lmtp_port, lmtp.getsockname()[1]), names["3 lmtp+pop3"])
        self.deliver()
        self.assertEqual(self.login().select()[1], [b"1"])


class Log(Processes):
    settings = {"processes": 2, "log.format": "json"}
    count = 2

    def test_every_line_of_a_worker_names_it(self):
        self.by_worker(2)
        self.deliver()
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        unnamed = [line for line in lines if line["component"] != "supervisor" and "_worker" not in line]
        self.assertEqual(unnamed, [])
        named = {line["_worker"] for line in lines if line["component"] == "imap"}
        self.assertEqual(named, {"1", "2"})


class Embedded(unittest.TestCase):
    def test_the_embedded_store_is_one_process_and_says_so(self):
        for option in ("processes=2", "processes=cpus", "roles=imap,pop3+lmtp+api"):
            done = subprocess.run([str(BINARY), "serve", "--data", "/nonexistent/mallard", "--set", option],
                                  capture_output=True, text=True, timeout=30, env=clean_environment())
            self.assertEqual(done.returncode, 1)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn("the embedded store is one process with threads", done.stderr)


if __name__ == "__main__":
    cases.main()
