"""A command to a MongoDB-wire server's admin database over the bare wire (OP_MSG): no driver, no shell of MongoDB's."""
import socket

OP_MSG = 2013


def encode(fields):
    """A dict of texts, whole numbers, truths, lists and dicts as BSON."""
    body = b"".join(element(name, value) for name, value in fields.items())
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def element(name, value):
    if isinstance(value, str):
        kind, data = 0x02, len(value.encode() + b"\0").to_bytes(4, "little") + value.encode() + b"\0"
    elif isinstance(value, dict):
        kind, data = 0x03, encode(value)
    elif isinstance(value, list):
        kind, data = 0x04, encode({str(at): one for at, one in enumerate(value)})
    elif isinstance(value, bool):
        kind, data = 0x08, bytes([value])
    else:
        kind, data = 0x10, value.to_bytes(4, "little", signed=True)
    return bytes([kind]) + name.encode() + b"\0" + data


def admin_command(port, command):
    """Whether the server did it, and its whole reply (BSON)."""
    body = encode({**command, "$db": "admin"})
    message = (16 + 5 + len(body)).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4) + \
        OP_MSG.to_bytes(4, "little") + bytes(4) + b"\0" + body
    with socket.create_connection(("127.0.0.1", port), timeout=30) as wire, wire.makefile("rb") as replies:
        wire.sendall(message)
        reply = replies.read(int.from_bytes(replies.peek(4)[:4], "little"))
    return b"\x01ok\0\0\0\0\0\0\0\xf0\x3f" in reply, reply[21:]
