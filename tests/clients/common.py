"""What the client tests share: paths, a server per class, a trusting TLS context."""

import pathlib
import ssl
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
for folder in ("support", "model"):
    sys.path.insert(0, str(ROOT / "tests" / folder))

import cases  # noqa: E402, F401
from mallard_server import BINARY, MallardServer, clean_environment, free_port, free_ports  # noqa: E402, F401

PASSWORD = "correct horse battery"
STOP_SECONDS_MAX = 10.5  # the server ends in ten


def trusting_tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def message(subject, body="hello", **headers):
    fields = {"From": "sender@example.com", "To": "ann@example.com", "Subject": subject, **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return (head + "\r\n" + body + "\r\n").encode()


class ServerCase(unittest.TestCase):
    """One server for the class, with the account ann@example.com."""

    settings = {}
    users = ("ann@example.com",)

    @classmethod
    def setUpClass(cls):
        cls.server = MallardServer(cls.settings)
        cls.server.start()
        for user in cls.users:
            cls.add_user(user)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    @classmethod
    def add_user(cls, user):
        done = cls.server.command("user", "add", user, "--password-stdin", text_in=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
