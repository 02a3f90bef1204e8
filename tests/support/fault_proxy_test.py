#!/usr/bin/env python3
"""The fault proxy does what it says: else the fault tests would test nothing."""

import socket
import threading
import time
import unittest

import cases
from fault_proxy import FaultProxy


class Echo:
    """Sends back what comes, and keeps it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.received = b""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(connection,), daemon=True).start()

    def echo(self, connection):
        try:
            while piece := connection.recv(65536):
                self.received += piece
                connection.sendall(piece)
        except OSError:
            pass
        connection.close()


class FaultProxyTest(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.proxy = FaultProxy(self.echo.port)
        self.addCleanup(self.echo.listener.close)
        self.addCleanup(self.proxy.close)

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=20)
        self.addCleanup(client.close)
        return client

    def read(self, client, count):
        got = b""
        while len(got) < count:
            piece = client.recv(count - len(got))
            if not piece:
                break
            got += piece
        return got

    def assert_ended(self, client):
        with self.assertRaises(OSError):
            if not client.recv(1):
                raise ConnectionResetError

    def until(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_passes_what_comes(self):
        client = self.connect()
        data = bytes(range(256)) * 2000
        threading.Thread(target=client.sendall, args=(data,)).start()
        self.assertEqual(self.read(client, len(data)), data)
        self.assertEqual(self.proxy.carried("to_server"), len(data))

    def test_an_end_of_stream_passes(self):
        client = self.connect()
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read(client, 100), b"last")

    def test_cut_resets_every_connection(self):
        clients = [self.connect() for _ in range(3)]
        for client in clients:
            client.sendall(b"x")
            self.read(client, 1)
        self.assertEqual(self.proxy.cut(), 3)
        for client in clients:
            self.assert_ended(client)

    def test_cut_after_is_exact_towards_the_server(self):
        client = self.connect()
        self.proxy.cut_after(10, "to_server")
        client.sendall(b"0123456789abcdef")
        self.assert_ended_after_reading(client)
        self.until(lambda: self.proxy.cuts == 1)
        self.assertEqual(self.proxy.carried("to_server"), 10)
        self.assertIn(self.echo.received, (b"0123456789", b""))  # a reset may overtake it, never more
        again = self.connect()  # only that connection
        again.sendall(b"more")
        self.assertEqual(self.read(again, 4), b"more")

    def assert_ended_after_reading(self, client):
        with self.assertRaises(OSError):
            while client.recv(100):
                pass
            raise ConnectionResetError

    def test_cut_after_is_exact_towards_the_client(self):
        client = self.connect()
        self.proxy.cut_after(3, "to_client")
        client.sendall(b"0123456789")
        self.assert_ended_after_reading(client)
        self.until(lambda: self.echo.received == b"0123456789")  # the server did its work, the client never knew
        self.assertEqual(self.proxy.carried("to_client"), 3)

    def test_delay(self):
        client = self.connect()
        self.proxy.delay = 0.1
        begin = time.monotonic()
        client.sendall(b"x")
        self.read(client, 1)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)  # both ways

    def test_hold_and_release(self):
        client = self.connect()
        self.proxy.hold()
        client.sendall(b"x")
        client.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            client.recv(1)
        self.proxy.release()
        client.settimeout(20)
        self.assertEqual(self.read(client, 1), b"x")

    def test_hold_and_cut_loses(self):
        client = self.connect()
        client.sendall(b"w")
        self.assertEqual(self.read(client, 1), b"w")
        self.proxy.hold()
        client.sendall(b"x")
        self.proxy.cut()
        self.proxy.release()
        self.assert_ended(client)
        again = self.connect()
        again.sendall(b"y")
        self.assertEqual(self.read(again, 1), b"y")
        self.assertEqual(self.echo.received, b"wy")

    def test_refuse_and_accept_on_the_same_port(self):
        client = self.connect()
        client.sendall(b"x")
        self.read(client, 1)
        self.proxy.refuse()
        self.assert_ended(client)
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.proxy.accept()
        again = self.connect()
        again.sendall(b"y")
        self.assertEqual(self.read(again, 1), b"y")


if __name__ == "__main__":
    cases.main()
