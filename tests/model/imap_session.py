"""A small IMAP client that hides nothing: every untagged response is handed to the caller, in order."""

import re
import socket


class ImapSession:
    def __init__(self, port, user=None, password=None, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.file = self.socket.makefile("rb")
        self.number = 0
        self.greeting = self.read_response()
        if user is not None:
            self.command(f'LOGIN "{user}" "{password}"')

    def close(self):
        self.file.close()
        self.socket.close()

    def read_response(self):
        """One response as bytes, its literals included, without the final CRLF."""
        parts = []
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("the server closed the connection")
            parts.append(line)
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if not literal:
                return b"".join(parts)[:-2]
            parts.append(self.file.read(int(literal.group(1))))

    def send(self, text):
        self.number += 1
        tag = f"m{self.number}"
        self.socket.sendall(tag.encode() + b" " + (text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return tag.encode()

    def command(self, text):
        """(status, text of the tagged reply, untagged responses) of one command."""
        return self.finish(self.send(text))

    def finish(self, tag):
        untagged = []
        while True:
            response = self.read_response()
            if response.startswith(b"* "):
                untagged.append(response[2:])
            elif response.startswith(tag + b" "):
                status, _, rest = response[len(tag) + 1:].partition(b" ")
                return status.decode(), rest.decode("latin-1"), untagged
            elif not response.startswith(b"+"):
                raise AssertionError(f"neither untagged nor tagged: {response!r}")

    def append(self, mailbox, message, flags=()):
        head = f"APPEND {mailbox} ({' '.join(flags)}) {{{len(message)}+}}\r\n".encode()
        return self.command(head + message)


FETCH = re.compile(rb"^(\d+) FETCH \((.*)\)$", re.S)


def parse_fetch(response):
    """(sequence number, {"FLAGS": set, "UID": n, "MODSEQ": n}) of a FETCH response, or None."""
    match = FETCH.match(response)
    if not match:
        return None
    items = {}
    body = match.group(2).decode("latin-1")
    if flags := re.search(r"FLAGS \(([^)]*)\)", body):
        items["FLAGS"] = frozenset(flags.group(1).split())
    if uid := re.search(r"(?<![A-Z])UID (\d+)", body):
        items["UID"] = int(uid.group(1))
    if modseq := re.search(r"MODSEQ \((\d+)\)", body):
        items["MODSEQ"] = int(modseq.group(1))
    return int(match.group(1)), items


def parse_set(text):
    """[uids] of "1:3,7"."""
    out = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition(":")
        out.extend(range(int(first), int(last or first) + 1))
    return out
