"""LMTP and POP3 over a bare socket: libraries repair line ends, and here every byte counts."""

import socket


class Wire:
    def __init__(self, port, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.socket.makefile("rb", buffering=1 << 20)

    def line(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        return line

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.file.close()
        self.socket.close()


def dot_stuff(message):
    """RFC 5321 §4.5.2: a line is what CRLF ends, and nothing else."""
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


class Lmtp(Wire):
    def __init__(self, port, timeout=120):
        super().__init__(port, timeout)
        self.reply(b"220")
        self.send(b"LHLO bytes.example.com\r\n")
        self.reply(b"250")

    def reply(self, code):
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            if line[3:4] != b"-":
                break
        assert line.startswith(code), f"expected {code}, got {line!r}"
        return b"".join(lines)

    def deliver(self, sender, recipients, message, expect=b"250"):
        """One reply per recipient. The message must end in CRLF: LMTP cannot say otherwise."""
        self.send(f"MAIL FROM:<{sender}> BODY=8BITMIME\r\n".encode())
        self.reply(b"250")
        for recipient in recipients:
            self.send(f"RCPT TO:<{recipient}>\r\n".encode())
            self.reply(b"250")
        self.send(b"DATA\r\n")
        self.reply(b"354")
        self.send(dot_stuff(message) + b".\r\n")
        return [self.reply(expect) for _ in recipients]


class Pop3(Wire):
    def __init__(self, port, user, password):
        super().__init__(port)
        self.ok()
        self.command(f"USER {user}")
        self.command(f"PASS {password}")

    def ok(self):
        line = self.line()
        assert line.startswith(b"+OK"), line
        return line

    def command(self, text):
        self.send(text.encode() + b"\r\n")
        return self.ok()

    def multiline(self, text):
        """The data of a multi-line reply, unstuffed, its last CRLF included."""
        self.command(text)
        out = []
        start = True
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("the server closed the connection")
            if start and line == b".\r\n":
                return b"".join(out)
            out.append(line[1:] if start and line.startswith(b".") else line)
            start = line.endswith(b"\r\n")  # a bare LF ends no line
