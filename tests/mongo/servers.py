"""The database and the Redis that tests start: on free ports, with files of their own; killed and started again at will."""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from admin_command import admin_command  # noqa: E402

FERRETDB = "v1.24.2"
SECANTUS = "secantusdb==0.7.0b3"
GO_NEEDED = (1, 23)
START_SECONDS_MAX = 60


class Missing(Exception):
    pass


def end_with_parent():
    """Runs in the server's process: should we be killed, it is not left behind."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cache():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mallard"


class Server:
    """One server process; its port and its files stay the same when it is started again."""
    name = "server"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / self.name
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log = self.folder / f"{self.name}.log"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=self.log.open("ab"), stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent,
                                        env={**os.environ, **self.environment()})
        try:
            self.wait()
        except Missing:
            self.stop()
            raise
        return self

    def wait(self):
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Missing(f"{self.name} ended at its start: {self.log.read_text(errors='replace')[-500:].strip()}")
            if self.answers():
                return
            time.sleep(0.05)
        raise Missing(f"{self.name} does not answer on port {self.port}")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        """SIGKILL, as a crash."""
        self.process.kill()
        self.process.wait()

    def environment(self):
        return {}


class ReplicaSet(Server):
    """Of one member."""

    def step_down(self, seconds):
        """The primary is none for that long: it takes no writes."""
        done, reply = admin_command(self.port, {"replSetStepDown": seconds, "force": True})
        assert done, f"the primary does not step down: {reply!r}"


class Mongod(ReplicaSet):
    name = "mongod"

    def command(self):
        return [shutil.which("mongod"), "--dbpath", self.data, "--port", str(self.port), "--bind_ip", "127.0.0.1",
                "--replSet", "test", "--oplogSize", "128"]

    def start(self):
        super().start()
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        admin_command(self.port, {"replSetInitiate": {"_id": "test", "members": [member]}})  # refused where it is one already
        return self

    def url(self, port=None):
        # Asked directly, so that a proxy's port may stand in the URL.
        return f"mongodb://127.0.0.1:{port or self.port}/mallard_test?" + \
            ("directConnection=true" if port else "replicaSet=test")


class FerretDB(Server):
    name = "ferretdb"

    def __init__(self, folder):
        super().__init__(folder)
        self.program = ferretdb()

    def command(self):
        return [self.program, "--handler=sqlite", f"--sqlite-url=file:{self.data}/",
                f"--listen-addr=127.0.0.1:{self.port}", "--debug-addr=-", "--telemetry=disable", "--log-level=error",
                f"--state-dir={self.folder}"]

    def url(self, port=None):
        return f"mongodb://127.0.0.1:{port or self.port}/mallard_test"


class SecantusDB(ReplicaSet):
    """A MongoDB-wire server in Python on WiredTiger: atomic updates, pipelines, array filters, transactions."""
    name = "secantusdb"

    def __init__(self, folder):
        super().__init__(folder)
        self.packages = secantusdb()

    def command(self):
        return [sys.executable, "-c", "import sys; from secantus.cli import main; sys.exit(main())", "--host", "127.0.0.1",
                "--port", str(self.port), "--storage-path", self.data, "--sync-on-commit", "--session-max", "2000",
                "--log-level", "WARNING"]

    def environment(self):
        return {"PYTHONPATH": str(self.packages)}

    def url(self, port=None):
        # Through a proxy that cuts: it takes a driver's second try while it still does the first for another write, which
        # MongoDB does not, so there may be none.
        return f"mongodb://127.0.0.1:{port or self.port}/mallard_test?" + \
            ("directConnection=true&retryWrites=false" if port else "replicaSet=secantus")


class Redis(Server):
    name = "redis"

    def __init__(self, folder):
        super().__init__(folder)
        self.program = shutil.which("redis-server")
        if not self.program:
            raise Missing("no Redis: set MALLARD_TEST_REDIS_URL, or install redis-server")

    def command(self):
        return [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.data, "--save", "",
                "--appendonly", "yes"]

    def url(self, port=None):
        return f"redis://127.0.0.1:{port or self.port}/3"


MONGO_KINDS = {"mongod": Mongod, "ferretdb": FerretDB, "secantusdb": SecantusDB}


def mongo(folder, kind=None):
    """The MongoDB-wire server of that kind (else $MALLARD_TEST_MONGO_KIND, else mongod if installed, else FerretDB)."""
    kind = kind or os.environ.get("MALLARD_TEST_MONGO_KIND") or ("mongod" if shutil.which("mongod") else "ferretdb")
    if kind not in MONGO_KINDS:
        raise Missing(f"no MongoDB-wire server is called {kind}: {', '.join(MONGO_KINDS)}")
    return MONGO_KINDS[kind](folder)


def go_program():
    for go in ("go", "/usr/local/go/bin/go"):
        found = shutil.which(go)
        if not found:
            continue
        match = re.search(r"go(\d+)\.(\d+)", subprocess.run([found, "version"], capture_output=True, text=True).stdout)
        if match and (int(match[1]), int(match[2])) >= GO_NEEDED:
            return found
    return None


def go_run(go, arguments, **environment):
    return subprocess.run([go, *arguments], cwd=HERE / "ferretdb", env={**os.environ, **environment},
                          capture_output=True, text=True)


def ferretdb():
    """The program, built with the versions that tests/mongo/ferretdb/go.sum pins."""
    home = cache() / FERRETDB
    program = home / "ferretdb"
    if program.exists():
        return program
    go = go_program()
    if go is None:
        raise Missing("no MongoDB: set MALLARD_TEST_MONGO_URL, or install mongod or Go 1.23 (for FerretDB)")
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as building:  # so that two at once do no harm
        print("building FerretDB, once", file=sys.stderr)
        building = pathlib.Path(building)
        built = go_run(go, ["mod", "download", "github.com/FerretDB/FerretDB"])
        source = go_run(go, ["list", "-m", "-f", "{{.Dir}}", "github.com/FerretDB/FerretDB"]).stdout.strip()
        if built.returncode == 0:
            # Its released source lacks the file that names the version, and it does not start without.
            shutil.copytree(source, building / "source")
            versions = building / "source" / "build" / "version"
            versions.chmod(0o755)
            (versions / "version.txt").write_text(FERRETDB + "\n")
            shutil.copy(HERE / "ferretdb" / "go.sum", building)
            (building / "go.mod").write_text((HERE / "ferretdb" / "go.mod").read_text() +
                                             f"\nreplace github.com/FerretDB/FerretDB => {building}/source\n")
            built = go_run(go, ["build", f"-modfile={building}/go.mod", "-o", building / "ferretdb",
                                "github.com/FerretDB/FerretDB/cmd/ferretdb"])
            for folder in [building / "source", *(building / "source").rglob("*")]:
                if folder.is_dir():
                    folder.chmod(0o755)  # so that it can be removed
        if built.returncode:
            raise Missing("no MongoDB: FerretDB cannot be built: " + built.stderr.strip()[-300:])
        os.replace(building / "ferretdb", program)
    return program


def secantusdb():
    """The folder of its Python packages."""
    home = cache() / SECANTUS.replace("==", "-")
    packages = home / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if packages.exists():
        return packages
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as building:
        print("installing SecantusDB, once", file=sys.stderr)
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", f"{building}/packages",
                               SECANTUS], capture_output=True, text=True)
        if done.returncode:
            raise Missing("no SecantusDB: " + done.stderr.strip()[-300:])
        try:
            os.replace(f"{building}/packages", packages)
        except OSError:
            pass  # another was faster
    return packages
