#!/usr/bin/env python3
"""The server's memory under 100 concurrent deliveries of 50 MB stays under 1 GiB.

    memory_test.py [--connections 100] [--megabytes 50] [--limit-mib 1024]

The peak is the largest sum of private and shared-by-share pages (PSS) seen every 50 ms, page cache of mapped files
included where it counts as the process's.
"""

import argparse
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from mallard_server import MallardServer  # noqa: E402
from wire import Lmtp  # noqa: E402

PASSWORD = "secret-memory"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--limit-mib", type=int, default=1024)
    options = parser.parse_args()
    line = b"TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsuTWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsuTWFueSBo\r\n"
    block = line * 10_000
    total = options.megabytes * 1_000_000
    failures, peak = [], 0
    with MallardServer({"lmtp.maxMB": 100}) as server:
        for number in range(10):
            server.add_user(f"big{number}@example.com", PASSWORD, quota=1 << 40)
        before = server.memory_kib()

        def deliver(number):
            try:
                lmtp = Lmtp(server.lmtp_port, 900)
                lmtp.send(b"MAIL FROM:<s@example.com>\r\n")
                lmtp.reply(b"250")
                lmtp.send(f"RCPT TO:<big{number % 10}@example.com>\r\n".encode())
                lmtp.reply(b"250")
                lmtp.send(b"DATA\r\n")
                lmtp.reply(b"354")
                lmtp.send(b"From: a@example.com\r\nSubject: %d\r\nContent-Type: application/octet-stream\r\n"
                          b"Content-Transfer-Encoding: base64\r\nX-Unique: %d\r\n\r\n%083d\r\n" % (number, number, number))
                for _ in range(total // len(block)):
                    lmtp.send(block)
                lmtp.send(b".\r\n")
                lmtp.reply(b"250")
            except (AssertionError, OSError) as error:
                failures.append(f"{number}: {error}")

        threads = [threading.Thread(target=deliver, args=(n,)) for n in range(options.connections)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, server.memory_kib())
            time.sleep(0.05)
    print(f"{options.connections} deliveries of {options.megabytes} MB at once: {len(failures)} failed; "
          f"memory {before / 1024:.0f} MiB before, {peak / 1024:.0f} MiB at the peak")
    for failure in failures[:5]:
        print(failure, file=sys.stderr)
    sys.exit(1 if failures or peak > options.limit_mib * 1024 else 0)


if __name__ == "__main__":
    main()
