#!/usr/bin/env python3
"""The five-minute tour of README.md does what it says: its commands are run as they stand there."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from common import BINARY, ROOT, cases, clean_environment, free_ports


def tour():
    block = re.search(r"<!-- tour -->\n```sh\n(.*?)```\n<!-- /tour -->", (ROOT / "README.md").read_text(), re.S).group(1)
    steps = re.split(r"^# (\d+)\. [^\n]*\n", block, flags=re.M)[1:]
    return dict(zip(map(int, steps[::2]), steps[1::2]))


class FirstRun(unittest.TestCase):
    """Only the ports differ: those of the tour may be taken on this machine."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="mallard-tour-")
        self.path = pathlib.Path(self.directory.name)
        (self.path / "build/release/bin").mkdir(parents=True)
        (self.path / "build/release/bin/mallard").symlink_to(BINARY)
        self.ports = dict(zip(names := (9993, 1143, 9995, 1110, 2424, 8080), free_ports(len(names))))
        options = {"imap.port": 9993, "imap.starttlsPort": 1143, "pop3.port": 9995, "pop3.starttlsPort": 1110,
                   "lmtp.port": 2424, "api.port": 8080}
        arguments = [a for key, port in options.items() for a in ("--set", f"{key}={self.ports[port]}")]
        self.server = subprocess.Popen(["build/release/bin/mallard", "serve", "--data", "./data", *arguments], cwd=self.path,
                                       stdout=subprocess.PIPE, text=True, env=clean_environment())
        self.announced = [self.server.stdout.readline() for _ in range(7)]

    def tearDown(self):
        self.server.terminate()
        self.server.wait(15)
        self.server.stdout.close()
        self.directory.cleanup()

    def run_step(self, text):
        for port, here in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(here), text)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=self.path, capture_output=True, text=True,
                              timeout=60, env={**clean_environment(), "HOME": str(self.path)})
        self.assertEqual(done.returncode, 0, text + done.stdout + done.stderr)
        return done.stdout

    def test_the_tour_of_the_readme(self):
        said = "".join(self.announced)
        for word in (str(self.ports[9993]), f"http://127.0.0.1:{self.ports[8080]}", "data/admin-token", "user add"):
            self.assertIn(word, said)
        steps = tour()
        self.assertEqual(sorted(steps), [1, 2, 3, 4, 5])
        self.assertIn("Created ann@example.com", self.run_step(steps[1]))
        self.run_step(steps[2])
        read = self.run_step(steps[3])
        self.assertEqual(read.count("Quack."), 2, read)
        self.assertIn('"INBOX"', self.run_step(steps[4]))
        looked = self.run_step(steps[5])
        for word in ("INBOX (1 messages)", "Exported 1 messages", "all is well"):
            self.assertIn(word, looked)
        self.assertEqual(len(list((self.path / "backup/cur").iterdir())), 1)
        self.assertFalse(os.path.exists(self.path / "data/lock.new"))


if __name__ == "__main__":
    cases.main()
