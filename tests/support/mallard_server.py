"""A Mallard of its own for a test: free ports on loopback, a temporary data directory, the binary under test.

    with MallardServer() as server:
        server.add_user("ann@example.com", "secret")
        imaplib.IMAP4("127.0.0.1", server.imap_port)

The binary is $MALLARD_BINARY, else build/release/bin/mallard. With MALLARD_TEST_ENGINE=cluster its store is a database of
its own on the servers that tests/mongo/with-servers starts.
"""

import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from free_ports import free_port, free_ports  # noqa: F401: common.py has them from here

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REDIS_NUMBERS = 16  # as many as any Redis has
BINARY = pathlib.Path(os.environ.get("MALLARD_BINARY", ROOT / "build/release/bin/mallard"))


def clean_environment():
    """Ours without MALLARD_…: the server reads those as options."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MALLARD_")}


def redis_say(connection, *words):
    """One command to Redis; its reply's first line."""
    connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words)))
    reply = b""
    while b"\r\n" not in reply:
        reply += connection.recv(4096)
    line = reply.split(b"\r\n")[0].decode()
    if line.startswith("-"):
        raise RuntimeError(f"Redis: {line}")
    return line[1:]


def own_redis_number(url):
    """An empty Redis number of one's own above the one in the URL."""
    parts = urllib.parse.urlsplit(url)
    first = int(parts.path[1:] or 0)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        redis_say(connection, "SELECT", str(first))
        turn = int(redis_say(connection, "INCR", "mallard:test:turn"))
        number = first + 1 + turn % (REDIS_NUMBERS - first - 1)
        redis_say(connection, "SELECT", str(number))
        redis_say(connection, "FLUSHDB")
    return parts._replace(path=f"/{number}").geturl()


def own_store():
    """The settings of an empty store of the engine under test."""
    engine = os.environ.get("MALLARD_TEST_ENGINE", "embedded")
    if engine == "embedded":
        return {}
    if engine != "cluster":
        raise RuntimeError('MALLARD_TEST_ENGINE is neither "embedded" nor "cluster"')
    mongo = urllib.parse.urlsplit(os.environ["MALLARD_TEST_MONGO_URL"])
    return {"store": "mongodb", "dbs.mongo": mongo._replace(path=f"/mallard_test_{secrets.token_hex(6)}").geturl(),
            "dbs.redis": own_redis_number(os.environ["MALLARD_TEST_REDIS_URL"])}


def memory_kib(pid):
    """The process's PSS."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


def ask(port, method, path, body=None, content_type=None, raw=False, headers=None):
    """One request to a REST API on loopback; its reply, or ApiError."""
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, method=method, headers=headers or {})
    if data is not None:
        request.add_header("Content-Type", content_type or "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            content = reply.read()
    except urllib.error.HTTPError as error:
        raise ApiError(error.code, error.read().decode()) from None
    return content if raw else json.loads(content)


class MallardServer:
    """`store`: the settings of another server's store, to work on the same."""

    def __init__(self, settings=None, data=None, environment=None, store=None):
        self.environment, self.config = environment or {}, None
        self.store = own_store() if store is None else dict(store)
        self.store.update((key, value) for key, value in (settings or {}).items() if key == "store" or key.startswith("dbs."))
        self.keep = data is not None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="mallard-test-")) / "data"
        self.token_path = self.data / "admin-token"
        self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port, self.lmtp_port, self.api_port = \
            free_ports(6)
        self.settings = {
            "auth.allow_plaintext": "true", "imap.port": self.imaps_port, "imap.starttlsPort": self.imap_port,
            "pop3.port": self.pop3s_port, "pop3.starttlsPort": self.pop3_port, "lmtp.port": self.lmtp_port,
            "api.port": self.api_port, **self.store, **(settings or {}),
        }
        self.process = None
        self.ids = {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        if not self.keep:
            shutil.rmtree(self.data.parent, ignore_errors=True)

    def use_file(self):
        """The settings stand in a file from the next start on, which a test may change; returns its path."""
        file = self.data.parent / "mallard.toml"
        number = lambda value: str(value) if str(value).isdigit() or value in ("true", "false") else json.dumps(value)  # noqa: E731
        file.write_text("".join(f"{key} = {number(value)}\n" for key, value in self.settings.items()))
        self.settings, self.config = {}, file
        return file

    def arguments(self):
        out = [str(BINARY), "serve", "--data", str(self.data)]
        if self.config:
            out += ["--config", str(self.config)]
        for key, value in self.settings.items():
            out += ["--set", f"{key}={value}"]
        return out

    def start(self, wait=True):
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.log_path = self.data.parent / "server.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.arguments(), stdout=log, stderr=log,
                                            env={**clean_environment(), **self.environment})
        if wait:
            self.wait()

    def wait(self):
        end = time.time() + 60
        while time.time() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log_path.read_text()[-3000:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.api_port}/metrics", timeout=2):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the server did not start within a minute")

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self):
        """SIGKILL, as a crash."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def command(self, *arguments, text_in=None):
        """Runs the command line on this server's data; returns the completed process."""
        return subprocess.run([str(BINARY), *arguments, *self.store_arguments()], input=text_in, text=True,
                              capture_output=True, timeout=300, env=clean_environment())

    def store_arguments(self):
        """What tells a command which store: the data directory, and the databases."""
        out = ["--data", str(self.data)]
        for key, value in self.store.items():
            out += ["--set", f"{key}={value}"]
        return out

    def add_user(self, username, password, **fields):
        reply = self.api("POST", "/users", {"username": username.split("@")[0].replace("+", "."), "password": password,
                                            "address": username, **fields} if "@" in username else
                         {"username": username, "password": password, **fields})
        self.ids[username] = reply["id"]
        return reply["id"]

    def user_id(self, username):
        return self.ids[username]

    @property
    def token(self):
        return self.token_path.read_text().strip()

    def api(self, method, path, body=None, content_type=None, raw=False):
        return ask(self.api_port, method, path, body, content_type, raw, {"X-Access-Token": self.token})

    def check(self):
        """What `mallard check` finds: its lines when it fails, else []."""
        done = self.command("check")
        return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()

    def memory_kib(self):
        return memory_kib(self.process.pid)
