"""A TCP proxy on loopback that does to connections what networks do.

    with FaultProxy(server_port) as proxy:
        connect to proxy.port …
        proxy.cut()                          # every connection is reset now
        proxy.cut_after(1000, "to_server")   # the connection that carries the 1000th byte from now is reset at it
        proxy.delay = 0.05                   # each piece waits that long
        proxy.hold() … proxy.release()       # nothing passes, nothing is lost (a cut after it: what was sent is lost)
        proxy.refuse() … proxy.accept()      # connections are reset, and new ones refused
"""

import contextlib
import socket
import struct
import threading
import time

DIRECTIONS = ("to_server", "to_client")
PIECE = 65536


class FaultProxy:
    def __init__(self, target_port, host="127.0.0.1"):
        self.target = (host, target_port)
        self.delay = 0.0
        self.cuts = 0       # connections reset by cut_after
        self.accepted = 0   # connections ever
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._pairs = set()
        self._budget = dict.fromkeys(DIRECTIONS)  # bytes until the cut; None: none is due
        self._carried = dict.fromkeys(DIRECTIONS, 0)
        self._listener = None
        self.port = 0
        self.accept()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.refuse()
        self.release()

    # -- the faults ----------------------------------------------------------------------------------------------

    def cut(self):
        """Resets every connection; says how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._reset(pair)
        return len(pairs)

    def cut_after(self, count, direction):
        with self._lock:
            self._budget[direction] = count

    def hold(self):
        self._open.clear()

    def release(self):
        self._open.set()

    def refuse(self):
        with self._lock:
            listener, self._listener = self._listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()
        self.cut()

    def accept(self):
        if self._listener:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def carried(self, direction):
        with self._lock:
            return self._carried[direction]

    # -- the plumbing --------------------------------------------------------------------------------------------

    def _serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                self._abort(client)
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self._lock:
                self.accepted += 1
                self._pairs.add(pair)
                refusing = self._listener is not listener
            if refusing:
                self._reset(pair)
                continue
            for source, sink, direction in ((client, server, "to_server"), (server, client, "to_client")):
                threading.Thread(target=self._pump, args=(pair, source, sink, direction), daemon=True).start()

    def _pump(self, pair, source, sink, direction):
        try:
            while piece := source.recv(PIECE):
                if self.delay:
                    time.sleep(self.delay)
                self._open.wait()
                piece, cut = self._spend(piece, direction)
                sink.sendall(piece)
                if cut:
                    self._reset(pair)
                    return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._reset(pair)

    def _spend(self, piece, direction):
        """What of the piece still passes, and whether the connection ends with it."""
        with self._lock:
            budget = self._budget[direction]
            cut = budget is not None and budget <= len(piece)
            if cut:
                piece = piece[:budget]
                self._budget[direction] = None
                self.cuts += 1
            elif budget is not None:
                self._budget[direction] = budget - len(piece)
            self._carried[direction] += len(piece)
            return piece, cut

    def _reset(self, pair):
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
        for end in pair:
            self._abort(end)

    @staticmethod
    def _abort(end):
        """An RST instead of a FIN; a thread that waits in recv() wakes."""
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RD)
        end.close()
