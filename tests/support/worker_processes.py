"""The processes behind the ports of one server, as /proc shows them."""

import os
import pathlib
import urllib.request


def workers(server):
    """Processes of the workers: number to pid."""
    out = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == server.process.pid and b"worker" in words:
            out[words[words.index(b"--name") + 1].decode()] = int(entry.name)
    return out


def owner_of(port, local_port):
    """The pid that has the server's side of the connection whose client side is `local_port`."""
    inode = None
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}" and fields[2] == f"0100007F:{local_port:04X}":
            inode = fields[9]
    for entry in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(entry) == f"socket:[{inode}]":
                return int(entry.parts[2])
        except OSError:
            pass
    return None


def metric(server, name):
    """Its value over all processes; None: there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.api_port}/metrics", timeout=10) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(name + " ") or line.startswith(name + "{"):
                return float(line.rsplit(" ", 1)[1])
    return None
