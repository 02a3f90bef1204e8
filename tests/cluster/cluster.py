"""Several Mallard processes on one database and one Redis of their own, all of which can be killed and started again.

    with Cluster(nodes=2) as cluster:
        cluster.add_user("ann@example.com", "secret")
        cluster.nodes[1].kill()

Or one server of several processes under its supervisor: Cluster(workers=3).
"""

import pathlib
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("support", "model", "mongo", "crash")]
import cases  # noqa: E402
import servers  # noqa: E402
from fault_proxy import FaultProxy  # noqa: E402
from mallard_server import MallardServer  # noqa: E402
from worker_processes import metric, workers  # noqa: E402

START_SECONDS_MAX = 45


def run_cases(*needs):
    """The cases of the script; skipped where something that it needs (a function that raises Missing) cannot be had."""
    try:
        for need in needs:
            need()
    except servers.Missing as why:
        print(f"skipped: {why}")
        sys.exit(77)
    cases.main()


class Cluster:
    def __init__(self, nodes=1, workers=0, proxied=False, kind=None):
        self.workers = workers
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mallard-cluster-"))
        self.proxies = []
        self.mongo = servers.mongo(self.folder, kind)
        self.redis = servers.Redis(self.folder)
        self.mongo.start()
        self.redis.start()
        if proxied:
            self.proxies = [FaultProxy(self.mongo.port), FaultProxy(self.redis.port)]
        # All by one URL: where the database's updates are not atomic, it names the lock that the processes share.
        mongo_port, redis_port = (p.port for p in self.proxies) if proxied else (None, None)
        self.nodes = [MallardServer({"store": "mongodb", "dbs.mongo": self.mongo.url(mongo_port),
                                     "dbs.redis": self.redis.url(redis_port), **({"processes": workers} if workers else {})},
                                    data=self.folder / f"node{n}") for n in range(nodes)]
        for node in self.nodes:
            node.token_path = self.nodes[0].token_path  # made by the first that finds none in the database

    @property
    def mongo_proxy(self):
        return self.proxies[0]

    @property
    def redis_proxy(self):
        return self.proxies[1]

    def __enter__(self):
        try:
            for node in self.nodes:
                node.start()
            if self.workers:
                self.wait_for_workers()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        self.close()

    def wait_for_workers(self, without=None):
        """All of the one server's serve; that one, which was killed, is no longer among them."""
        end = time.monotonic() + START_SECONDS_MAX
        server = self.nodes[0]
        while len(pids := workers(server).values()) != self.workers or without in pids or \
                metric(server, "mallard_workers") != self.workers:
            assert time.monotonic() < end, f"there are not {self.workers} workers after {START_SECONDS_MAX} s"
            time.sleep(0.02)

    def close(self):
        for node in self.nodes:
            node.kill()
        for proxy in self.proxies:
            proxy.close()
        self.mongo.stop()
        self.redis.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_user(self, username, password, **fields):
        user = self.nodes[0].add_user(username, password, **fields)
        for node in self.nodes:
            node.ids[username] = user
        return user

    def logs(self):
        return "\n".join(f"--- node {n}\n" + "\n".join(node.log_path.read_text(errors="replace").splitlines()[-30:])
                         for n, node in enumerate(self.nodes))
