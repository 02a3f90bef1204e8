"""WildDuck itself, from npm, on the database and the Redis of a test: what Mallard must work beside.

    with WildDuck(mongo_url, redis_url) as wildduck:
        wildduck.api("POST", "/users", {...})
        imaplib.IMAP4("127.0.0.1", wildduck.imap_port)

Installed once into the user's cache, never into the project: its licence is the EUPL. Run as a program, as any peer.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("support", "mongo")]
from mallard_server import ask, free_ports  # noqa: E402
from servers import Missing, cache, end_with_parent  # noqa: E402

PACKAGE = ("package.json", "package-lock.json", ".npmrc")
START_SECONDS_MAX = 60
CONFIG = """
processes = 1
emailDomain = "example.com"
[dbs]
mongo = {mongo}
redis = {redis}
[imap]
port = {imap}
host = "127.0.0.1"
secure = false
disableSTARTTLS = true
[pop3]
port = {pop3}
host = "127.0.0.1"
secure = false
disableSTARTTLS = true
[lmtp]
enabled = true
port = {lmtp}
host = "127.0.0.1"
[api]
port = {api}
host = "127.0.0.1"
"""


def wildduck():
    """The folder where its packages are, as package-lock.json has them; with a Node as new as it wants."""
    lock = (HERE / "package-lock.json").read_bytes()
    home = cache() / f"wildduck-{hashlib.sha256(lock).hexdigest()[:12]}"
    if home.exists():
        return home
    if not shutil.which("npm"):
        raise Missing("no WildDuck: install npm")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as building:
        print("installing WildDuck, once", file=sys.stderr)
        for name in PACKAGE:
            shutil.copy(HERE / name, building)
        done = subprocess.run(["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=building,
                              capture_output=True, text=True)
        if done.returncode:
            raise Missing("no WildDuck: " + done.stderr.strip()[-300:])
        try:
            os.rename(building, home)
            os.mkdir(building)  # for its end
        except OSError:
            pass  # another was faster
    return home


class WildDuck:
    def __init__(self, mongo_url, redis_url, more=""):
        """more: of its configuration, as TOML."""
        self.packages = wildduck() / "node_modules"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wildduck-"))
        self.imap_port, self.pop3_port, self.lmtp_port, self.api_port = free_ports(4)
        self.log_path = self.folder / "wildduck.log"
        self.config = self.folder / "wildduck.toml"
        self.config.write_text(CONFIG.format(mongo=json.dumps(mongo_url), redis=json.dumps(redis_url), imap=self.imap_port,
                                             pop3=self.pop3_port, lmtp=self.lmtp_port, api=self.api_port) + more)
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        with self.log_path.open("ab") as log:
            node = next(self.packages.glob("node-linux-*/bin/node"))
            self.process = subprocess.Popen([node, "server.js", f"--config={self.config}"],
                                            cwd=self.packages / "@zone-eu" / "wildduck", stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, preexec_fn=end_with_parent,
                                            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "NODE_ENV": "production"})
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            assert self.process.poll() is None, f"WildDuck ended:\n{self.log()}"
            try:
                self.api("GET", "/users?limit=1")
                return
            except OSError:
                assert time.monotonic() < end, f"WildDuck does not answer:\n{self.log()}"
                time.sleep(0.2)

    def log(self):
        return self.log_path.read_text(errors="replace")[-4000:]

    def api(self, method, path, body=None, content_type=None, raw=False):
        return ask(self.api_port, method, path, body, content_type, raw)
