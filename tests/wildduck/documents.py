"""How a message's document of Mallard's differs from WildDuck's of the same message."""

import re

# Of each message its own.
OWN = {"_id", "root", "mailbox", "user", "thread", "magic", "retentionTime"}
# Mallard's, which WildDuck ignores.
ADDED = {"mallard", "mallardSource", "mallardSize"}
# Where each says what its own reader of MIME and of charsets makes of the message (docs/wildduck-data.md).
READ = {"text", "textFooter", "intro", "html", "subject", "envelope", "bodystructure", "headers", "hdate"}
ADDRESS_FIELDS = {"from", "sender", "reply-to", "to", "cc", "bcc"}
MADE_UP_NAME = re.compile(r"[0-9a-f]{8}\.\w+")
ODD_NAME = re.compile(r"01 Quien Te Dij")  # two messages of the corpus
MADE_UP_ID = re.compile(r"<[0-9a-f-]{36}@wildduck\.email>")


def of_user(database, user):
    import bson
    return list(database.messages.find({"user": bson.ObjectId(user)}).sort("uid"))


def differences(theirs, ours):
    return list(_different(_comparable(theirs), _comparable(ours), ""))


def _comparable(document):
    out = {key: value for key, value in document.items() if key not in OWN | ADDED | READ}
    out["meta"] = {key: value for key, value in document["meta"].items() if key not in ("time", "to", "origin")}
    if MADE_UP_ID.fullmatch(out["msgid"]):
        out["msgid"] = "made up"
    for entry in out.get("attachments", []):
        entry.pop("fileContentHash", None)  # of the message that stored the body first
        if MADE_UP_NAME.fullmatch(entry["filename"]):
            entry["filename"] = "made up"
        if ODD_NAME.match(entry["filename"]):
            entry["filename"] = "in a charset that it is not in"
    return out


def _different(theirs, ours, path):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            if path.endswith("parsedHeader") and key in ADDRESS_FIELDS:
                continue
            if key in theirs and key in ours:
                yield from _different(theirs[key], ours[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: {theirs.get(key, 'absent')!r} at WildDuck, {ours.get(key, 'absent')!r} at Mallard"
        if path and set(theirs) == set(ours) and list(theirs) != list(ours):  # at the top it means nothing (storage.md §11.9)
            yield f"{path}: in the order {list(theirs)} at WildDuck, {list(ours)} at Mallard"
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours)):
            yield from _different(one, other, f"{path}[{number}]")
    elif type(theirs) is not type(ours) or theirs != ours:
        yield f"{path}: {theirs!r} at WildDuck, {ours!r} at Mallard"
