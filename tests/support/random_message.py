"""Random messages for tests of byte equality: MIME trees and what is not quite one."""

import base64


def words(rng, n):
    return " ".join(rng.choice(["alpha", "beta", "gamma", ".dot", "From x", "--", "naïve", "=3D", "日本"]) for _ in range(n))


def line_end(rng, odd):
    return rng.choice([b"\r\n"] * 8 + ([b"\n", b"\r"] if odd else []))


def leaf(rng, odd):
    kind = rng.choice(["plain", "html", "base64", "quoted", "binary", "empty"])
    end = line_end(rng, odd)
    if kind == "base64":
        body = base64.encodebytes(rng.randbytes(rng.choice([10, 500, 20000]))).replace(b"\n", b"\r\n")
        return b"Content-Type: application/octet-stream; name=\"a.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body
    if kind == "quoted":
        return (b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                b"caf=E9 =\r\nsoft" + end)
    if kind == "html":
        return b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>" + words(rng, 20).encode() + b"</p>" + end
    if kind == "binary":
        raw = bytes(b for b in rng.randbytes(300) if b or not odd)
        return b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n" + raw.replace(b"\0", b"x")
    if kind == "empty":
        return rng.choice([b"", b"\r\n", b"Content-Type: text/plain\r\n\r\n"])
    return b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + end.join(words(rng, 8).encode() for _ in range(rng.randint(0, 12)))


def tree(rng, depth, odd):
    if depth == 0 or rng.random() < 0.4:
        return leaf(rng, odd)
    if rng.random() < 0.15:
        return b"Content-Type: message/rfc822\r\n\r\n" + header(rng) + tree(rng, depth - 1, odd)
    boundary = rng.choice([b"b", b"bb", b"b-b", b"=_x'()+,./:=?y", b"long" * 15]) + str(rng.randint(0, 3)).encode()
    kind = rng.choice([b"mixed", b"alternative", b"related", b"digest", b"report"])
    out = b"Content-Type: multipart/" + kind + b"; boundary=\"" + boundary + b"\"\r\n\r\n"
    out += rng.choice([b"", b"preamble\r\n"])
    for _ in range(rng.randint(0, 4)):
        out += b"--" + boundary + rng.choice([b"", b" ", b"\t"]) + line_end(rng, odd) + tree(rng, depth - 1, odd) + line_end(rng, odd)
    if rng.random() < 0.9:
        out += b"--" + boundary + b"--" + line_end(rng, odd)
    return out + rng.choice([b"", b"epilogue"])


def header(rng):
    return (f"From: {words(rng, 2)} <a@example.com>\r\nTo: b@example.com\r\n"
            f"Subject: {rng.choice(['plain', '=?utf-8?B?w6TDtg==?=', '=?iso-8859-1?Q?caf=E9?=', words(rng, 30)])}\r\n"
            f"Date: Mon, 01 Jan 2024 10:00:{rng.randint(0, 59):02} +0000\r\nMIME-Version: 1.0\r\n").encode()


def message(rng, number, odd):
    """Ends in CRLF; without NUL. `odd`: with bare CR and LF as line ends here and there."""
    body = header(rng) + f"X-Number: {number}\r\n".encode() + tree(rng, rng.randint(0, 5), odd)
    return body if body.endswith(b"\r\n") else body + b"\r\n"
