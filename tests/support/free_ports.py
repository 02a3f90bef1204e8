"""Ports on loopback for servers of tests. The kernel gives them to no outgoing connection, also while a server is down,
and no other test gets them as long as this process lives."""

import fcntl
import os
import pathlib
import random
import socket
import tempfile

FIRST, LAST = 10_000, 65_535
held = []


def taken_by_kernel():
    """The range of the ports of outgoing connections."""
    try:
        low, high = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        low, high = 32_768, 60_999
    return range(low, high + 1)


def is_free(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def hold(port, folder):
    """False: another process has it."""
    file = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    held.append(file)
    return True


def free_ports(count):
    kernel = taken_by_kernel()
    choice = [port for port in range(FIRST, LAST + 1) if port not in kernel] or list(kernel)
    folder = pathlib.Path(tempfile.gettempdir(), f"mallard-test-ports.{os.getuid()}")
    folder.mkdir(exist_ok=True)
    ports = []
    for port in random.SystemRandom().sample(choice, len(choice)):
        if len(ports) == count:
            return ports
        if hold(port, folder) and is_free(port):
            ports.append(port)
    raise RuntimeError(f"of {len(choice)} ports not {count} are free")


def free_port():
    return free_ports(1)[0]
