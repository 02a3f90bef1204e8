#!/usr/bin/env python3
"""Many connections at once for accounts that were never used: all logins and all deliveries succeed."""

import concurrent.futures
import imaplib

from common import PASSWORD, ServerCase, cases, message, trusting_tls
from wire import Lmtp

AT_ONCE = 30


class Stampede(ServerCase):
    users = ("logins@example.com", "deliveries@example.com", "both@example.com")
    settings = {"imap.maxConnections": 100}

    def login(self, user):
        client = imaplib.IMAP4_SSL("127.0.0.1", self.server.imaps_port, ssl_context=trusting_tls())
        client.login(user, PASSWORD)
        status, _ = client.select()
        client.logout()
        return status

    def deliver(self, user, number):
        lmtp = Lmtp(self.server.lmtp_port)
        reply = lmtp.deliver("sender@example.com", [user], message(f"stampede {number}"))
        lmtp.close()
        return reply[0][:3]

    def count(self, user):
        with imaplib.IMAP4("127.0.0.1", self.server.imap_port) as client:
            client.login(user, PASSWORD)
            return int(client.select(readonly=True)[1][0])

    def test_first_logins_all_succeed(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            self.assertEqual(list(pool.map(self.login, ["logins@example.com"] * AT_ONCE)), ["OK"] * AT_ONCE)

    def test_first_deliveries_all_succeed(self):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            replies = list(pool.map(lambda n: self.deliver("deliveries@example.com", n), range(AT_ONCE)))
        self.assertEqual(replies, [b"250"] * AT_ONCE)
        self.assertEqual(self.count("deliveries@example.com"), AT_ONCE)

    def test_both_at_once_succeed(self):
        with concurrent.futures.ThreadPoolExecutor(2 * AT_ONCE) as pool:
            logins = [pool.submit(self.login, "both@example.com") for _ in range(AT_ONCE)]
            deliveries = [pool.submit(self.deliver, "both@example.com", n) for n in range(AT_ONCE)]
            self.assertEqual({f.result() for f in logins}, {"OK"})
            self.assertEqual({f.result() for f in deliveries}, {b"250"})
        self.assertEqual(self.count("both@example.com"), AT_ONCE)
        self.assertEqual(self.server.check(), [])


if __name__ == "__main__":
    cases.main()
