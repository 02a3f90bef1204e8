#!/usr/bin/env python3
"""The REST API as a program of somebody else uses it: users, addresses, domains, mailboxes and messages from their
creation to their end, over HTTP, together with LMTP and IMAP. Only the standard library."""

import concurrent.futures
import datetime
import imaplib
import json
import smtplib
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from common import PASSWORD, ServerCase, cases, message


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status, self.body, self.code = status, body, body.get("code")


class Rest:
    """A client of the API: call("GET", "users", id, query=...) with JSON in and out."""

    def __init__(self, base, token):
        self.base, self.token = base, token

    def request(self, method, *path, query=None, body=None, kind="application/json"):
        url = self.base + "/" + "/".join(urllib.parse.quote(str(part), safe="") for part in path)
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = json.dumps(body).encode() if kind == "application/json" and body is not None else body
        headers = {"Content-Type": kind} if data is not None else {}
        if self.token:
            headers["X-Access-Token"] = self.token
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.loads(error.read())) from None

    def call(self, method, *path, **more):
        return json.loads(self.request(method, *path, **more))


class RestCase(ServerCase):
    users = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rest = Rest(f"http://127.0.0.1:{cls.server.api_port}", cls.server.token)

    def call(self, *arguments, **more):
        return self.rest.call(*arguments, **more)

    def new_user(self, username, **more):
        return self.call("POST", "users", body={"username": username, "password": PASSWORD, **more})["id"]

    def mailbox(self, user, path):
        return self.call("GET", "users", user, "mailboxes", "resolve", query={"path": path})["id"]

    def deliver(self, recipient, subject):
        with smtplib.LMTP("127.0.0.1", self.server.lmtp_port) as client:
            return client.sendmail("sender@example.org", [recipient], message(subject))

    def refusal(self, *arguments, **more):
        with self.assertRaises(Refused) as caught:
            self.call(*arguments, **more)
        return caught.exception


class Accounts(RestCase):
    def wait_until_erased(self, user):
        """A task does it (src/tasks): until then the user is shown, but not to be had back."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.call("GET", "users", user, "restore")
            except Refused:
                return
            time.sleep(0.2)
        self.fail("the user's mail is still not erased")

    def test_a_user_from_creation_to_restoring(self):
        user = self.new_user("ann", address="ann@rest.example", name="Ann", tags=["Staff"], metaData={"room": 1})
        shown = self.call("GET", "users", user)
        self.assertEqual((shown["address"], shown["name"], shown["metaData"]), ("ann@rest.example", "Ann", {"room": 1}))
        self.call("PUT", "users", user, body={"name": "Ann B.", "require2faEnabled": True})
        self.assertEqual(self.call("GET", "users", user)["name"], "Ann B.")
        self.assertEqual(self.call("GET", "users", "resolve", "a.nn")["id"], user)
        listed = self.call("GET", "users", query={"tags": "staff", "query": "ann"})
        self.assertEqual([one["id"] for one in listed["results"]], [user])

        self.deliver("ann@rest.example", "Before")
        later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=7)).isoformat()
        gone = self.call("DELETE", "users", user, query={"deleteAfter": later})
        self.assertEqual(gone["code"], "TaskScheduled")
        self.assertEqual(self.refusal("GET", "users", user).code, "UserNotFound")
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.deliver("ann@rest.example", "Lost")
        self.assertEqual(self.call("GET", "users", user, "restore")["recoverableAddresses"], ["ann@rest.example"])
        back = self.call("POST", "users", user, "restore", body={})
        self.assertEqual((back["code"], back["task"]), ("TaskCancelled", gone["task"]))
        self.deliver("ann@rest.example", "After")
        inbox = self.mailbox(user, "INBOX")
        subjects = [one["subject"] for one in self.call("GET", "users", user, "mailboxes", inbox, "messages")["results"]]
        self.assertEqual(sorted(subjects), ["After", "Before"])
        self.call("DELETE", "users", user)
        self.wait_until_erased(user)
        self.assertEqual(self.refusal("GET", "users", user, "restore").code, "AccountNotFound")

    def test_a_temporary_password_is_for_choosing_another(self):
        user = self.new_user("bob", requirePasswordChange=True)
        login = {"username": "bob", "password": PASSWORD, "token": True}
        reply = self.call("POST", "authenticate", body=login)
        self.assertTrue(reply["requirePasswordChange"])
        own = Rest(self.rest.base, reply["token"])
        own.call("PUT", "users", "me", body={"password": "something better"})
        reply = self.call("POST", "authenticate", body={**login, "password": "something better"})
        self.assertFalse(reply["requirePasswordChange"])
        temporary = self.call("POST", "users", user, "password", "reset", body={})["password"]
        self.assertTrue(self.call("POST", "authenticate", body={**login, "password": temporary})["requirePasswordChange"])
        imap = imaplib.IMAP4("127.0.0.1", self.server.imap_port)
        with self.assertRaises(imaplib.IMAP4.error):
            imap.login("bob", temporary)
        imap.shutdown()

    def test_of_many_who_want_one_name_or_address_one_gets_it(self):
        for address, code in ((lambda i: f"many{i}@rest.example", "UserExistsError"),
                              (lambda i: "one@rest.example", "AddressExistsError")):
            def create(i):
                name = "wanted" if code == "UserExistsError" else f"rival{i}"
                try:
                    return self.new_user(name, address=address(i))
                except Refused as refused:
                    return refused.code
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                results = list(pool.map(create, range(8)))
            self.assertEqual(results.count(code), 7, results)
            for user in results:
                if user != code:
                    self.assertEqual(len(self.call("GET", "users", user, "mailboxes")["results"]), 5)
                    self.call("DELETE", "users", user)

    def test_addresses_aliases_and_domains(self):
        user = self.new_user("cid", address="cid@old.example")
        extra = self.call("POST", "users", user, "addresses", body={"address": "sales-*@old.example", "allowWildcard": True})
        self.deliver("sales-emea@old.example", "Wild")
        self.call("POST", "domainaliases", body={"alias": "other.example", "domain": "old.example"})
        self.deliver("cid@other.example", "Aliased")
        moved = self.call("PUT", "addresses", "renameDomain", body={"oldDomain": "old.example", "newDomain": "new.example"})
        self.assertEqual((moved["modifiedAddresses"], moved["modifiedUsers"], moved["modifiedAliases"]), (2, 1, 1))
        for recipient in ("cid@new.example", "cid@other.example", "sales-apac@new.example"):
            self.deliver(recipient, "Moved")
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.deliver("cid@old.example", "Lost")
        self.assertEqual(self.call("GET", "addresses", "resolve", "sales-x@new.example", query={"allowWildcard": 1})["id"],
                         extra["id"])
        forwarded = self.call("POST", "addresses", "forwarded", body={
            "address": "info@new.example", "targets": ["cid@new.example", "smtp://relay.example:25"], "forwards": 5})["id"]
        self.assertEqual(self.call("GET", "addresses", "forwarded", forwarded)["limits"]["forwards"]["allowed"], 5)
        self.call("PUT", "addresses", "forwarded", forwarded, body={"autoreply": {"text": "Away"}})
        self.assertTrue(self.call("GET", "addresses", "forwarded", forwarded)["autoreply"]["status"])
        self.assertEqual(len(self.call("GET", "addresses", query={"forward": "relay.example"})["results"]), 1)
        self.call("DELETE", "addresses", "forwarded", forwarded)
        alias = self.call("GET", "domainaliases", "resolve", "other.example")["id"]
        self.call("DELETE", "domainaliases", alias)
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.deliver("cid@other.example", "Lost")

    def test_pages_lead_through_all_and_back(self):
        users = [self.new_user(f"page{i}", tags=["paged"]) for i in range(7)]
        for query in ({"limit": 3}, {"limit": 3, "tags": "paged"}, {"limit": 3, "query": "page"}):
            seen, cursor, pages = [], None, []
            while cursor is not False:
                page = self.call("GET", "users", query={**query, **({"next": cursor} if cursor else {})})
                self.assertEqual(page["page"], len(pages) + 1)
                pages.append([one["id"] for one in page["results"]])
                seen += pages[-1]
                previous, cursor = page["previousCursor"], page["nextCursor"]
            self.assertEqual(len(seen), len(set(seen)))
            self.assertEqual(len(seen), page["total"])
            self.assertLessEqual(set(users), set(seen))
            back = self.call("GET", "users", query={**query, "previous": previous})
            self.assertEqual([one["id"] for one in back["results"]], pages[-2])
        for user in users:
            self.call("DELETE", "users", user)


class Messages(RestCase):
    def setUp(self):
        self.user = self.new_user(f"m{self._testMethodName[-20:].replace('_', '')}", address=f"{id(self)}@rest.example")
        self.inbox = self.mailbox(self.user, "INBOX")
        self.base = ("users", self.user, "mailboxes", self.inbox, "messages")

    def tearDown(self):
        self.call("DELETE", "users", self.user)

    def test_a_message_from_upload_to_its_end(self):
        source = message("Uploaded", body="Quack")
        stored = self.call("POST", *self.base, body=source, kind="message/rfc822", query={"unseen": "true"})["message"]
        self.assertEqual(stored["size"], len(source))
        self.assertEqual(self.rest.request("GET", *self.base, stored["id"], "message.eml"), source)
        self.call("PUT", *self.base, stored["id"], body={"metaData": {"k": "v"}, "flagged": True,
                                                         "expires": "2100-01-01T00:00:00Z"})
        shown = self.call("GET", *self.base, stored["id"])
        self.assertEqual((shown["metaData"], shown["flagged"], shown["expires"]),
                         ({"k": "v"}, True, "2100-01-01T00:00:00.000Z"))
        trash = self.mailbox(self.user, "Trash")
        moved = self.call("PUT", *self.base, stored["id"], body={"moveTo": trash})
        self.assertEqual(moved["id"], [[stored["id"], 1]])
        in_trash = self.call("GET", "users", self.user, "mailboxes", trash, "messages", 1)
        self.assertEqual(in_trash["metaData"], {"k": "v"})
        age = datetime.datetime.fromisoformat(in_trash["expires"].replace("Z", "+00:00")) - \
            datetime.datetime.now(datetime.timezone.utc)
        self.assertAlmostEqual(age.total_seconds(), 30 * 86400, delta=120)
        self.call("PUT", "users", self.user, "mailboxes", trash, body={"retention": 0})
        self.assertNotIn("expires", self.call("GET", "users", self.user, "mailboxes", trash, "messages", 1))

    def test_a_composed_message_has_what_was_asked_for(self):
        stored = self.call("POST", *self.base, body={
            "from": {"name": "Ann", "address": "ann@rest.example"}, "to": [{"address": "bob@rest.example"}],
            "subject": "Composed ✓", "text": "Hello", "html": "<b>Hello</b>", "draft": True,
            "attachments": [{"filename": "a.txt", "contentType": "text/plain", "content": "UXVhY2s="}]})["message"]
        shown = self.call("GET", *self.base, stored["id"])
        self.assertEqual((shown["subject"], shown["draft"], shown["attachments"][0]["filename"]),
                         ("Composed ✓", True, "a.txt"))
        self.assertEqual(self.rest.request("GET", *self.base, stored["id"], "attachments", shown["attachments"][0]["id"]),
                         b"Quack")


class Refusals(RestCase):
    """What goes wrong is said such that a person knows what to do."""

    def test_validation_names_every_parameter(self):
        refused = self.refusal("POST", "users", body={"username": "!", "quota": "much", "tags": 5, "nonsense": 1})
        self.assertEqual((refused.status, refused.code), (400, "InputValidationError"))
        self.assertEqual(set(refused.body["details"]), {"username", "password", "quota", "tags", "nonsense"})
        for problem in refused.body["details"].values():
            self.assertIn(problem, refused.body["error"])

    def test_tokens_and_roles(self):
        for token, word in (("", "X-Access-Token"), ("f" * 40, "authenticate")):
            with self.assertRaises(Refused) as caught:
                Rest(self.rest.base, token).call("GET", "users")
            self.assertEqual((caught.exception.status, caught.exception.code), (403, "InvalidToken"))
            self.assertIn(word, caught.exception.body["message"])
        user = self.new_user("dora")
        reply = self.call("POST", "authenticate", body={"username": "dora", "password": PASSWORD, "token": True})
        with self.assertRaises(Refused) as caught:
            Rest(self.rest.base, reply["token"]).call("DELETE", "users", user)
        self.assertEqual((caught.exception.status, caught.exception.code), (403, "MissingPrivileges"))
        self.assertIn("user", caught.exception.body["error"])

    def test_unknown_paths_methods_and_broken_json(self):
        refused = self.refusal("GET", "user")
        self.assertEqual((refused.status, refused.code), (404, "ResourceNotFound"))
        refused = self.refusal("PATCH", "users")
        self.assertEqual((refused.status, refused.code), (405, "MethodNotAllowed"))
        with self.assertRaises(Refused) as caught:
            self.rest.request("POST", "users", body=b"{", kind="application/json; charset=utf-8")
        self.assertEqual((caught.exception.status, caught.exception.code), (400, "InvalidContent"))

    def test_what_is_not_offered_says_so(self):
        user = self.call("POST", "users", body={"username": "plain", "password": "secret"})["id"]
        inbox = self.call("GET", "users", user, "mailboxes")["results"][0]["id"]
        refused = self.refusal("POST", "users", user, "mailboxes", inbox, "messages",
                               body={"raw": "A: b", "bimi": {"domain": "example.com"}})
        self.assertEqual((refused.status, refused.code), (501, "NotSupported"))
        self.assertIn("bimi", refused.body["error"])


if __name__ == "__main__":
    cases.main()
