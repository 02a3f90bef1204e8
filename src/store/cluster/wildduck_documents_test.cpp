// Documents as WildDuck left them, written by hand from the facts (storage.md §1, §4, §9, §10, §17.5), read by the
// store.
#include "base/encoding.hpp"
#include "mime/message.hpp"
#include "store/bson_text.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Date;
using bson::Document;
using bson::Null;
using bson::Value;

constexpr TimeMs received = 1'704'103'200'000;

Value as_int64(std::int64_t v) { return Value(v); }

Document content_type(std::string const& type, std::string const& subtype, Document params = {}) {
    return {{"value", type + "/" + subtype}, {"type", type}, {"subtype", subtype}, {"params", std::move(params)}};
}

class WildDuckDocuments : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        database = std::make_unique<TestDatabase>();
        redis = std::move(*RedisClient::open(test_redis_url()));
        state = std::make_unique<ClusterSharedState>(*redis, clock.now());
        events = std::make_unique<ClusterEvents>(*redis, EventsConfig{});
        store = std::make_unique<ClusterMailStore>(
            mongo(), *redis, *events, nullptr, clock, [this](std::string_view source, TimeMs date) {
                ++derived;
                derived_from = source;
                return MessageRecord{.envelope = "(derived)", .info = std::to_string(date)};
            });
        // As a server writes numbers that have been added to: of every type.
        ASSERT_TRUE(mongo().insert(Db::main, "mailboxes",
                                   {{"_id", box},
                                    {"path", "INBOX"},
                                    {"specialUse", Null{}},
                                    {"uidValidity", 1'700'000'000.0},
                                    {"uidNext", as_int64(100)},
                                    {"modifyIndex", 50.0},
                                    {"subscribed", true},
                                    {"flags", Array{}},
                                    {"user", user},
                                    {"retention", Null{}},
                                    {"sess", "leaked"}}));
    }
    MongoClient& mongo() { return database->client(); }

    // The fields of a message but for its tree; `more` replaces and adds.
    ObjectId insert(std::int64_t uid, Document tree, std::int64_t size, Document const& more = {}) {
        auto const id = ObjectId::generate();
        Document message{{"_id", id},
                         {"v", "1.0"},
                         {"idate", Date{received}},
                         {"hdate", Date{received}},
                         {"flags", Array{"\\Seen", "$Forwarded"}},
                         {"size", bson::number(size)},
                         {"meta", Document{{"source", "MX"}, {"from", "a@b"}}},
                         {"mimeTree", std::move(tree)},
                         {"unseen", true},
                         {"magic", 4711},
                         {"mailbox", box},
                         {"user", user},
                         {"uid", static_cast<double>(uid)},
                         {"modseq", as_int64(uid + 1)},
                         {"thread", thread}};
        for (auto const& [key, value] : more.fields()) message.set(key, value);
        EXPECT_TRUE(mongo().insert(Db::main, "messages", message));
        return id;
    }

    static Document leaf(Array header, Value body, std::int64_t lines, std::int64_t size, Document parsed = {}) {
        if (!parsed.find("content-type")) parsed.set("content-type", content_type("text", "plain"));
        return {{"header", std::move(header)}, {"parsedHeader", std::move(parsed)},
                {"body", std::move(body)},     {"multipart", false},
                {"boundary", false},           {"lineCount", bson::number(lines)},
                {"size", bson::number(size)}};
    }
    static Document multipart(Array header, Array children, std::string const& body = "") {
        return {{"childNodes", std::move(children)},
                {"header", std::move(header)},
                {"parsedHeader", Document{{"content-type", content_type("multipart", "mixed", {{"boundary", "B"}})}}},
                {"body", Binary{body}},
                {"multipart", "mixed"},
                {"boundary", "B"},
                {"lineCount", 0},
                {"size", bson::number(static_cast<std::int64_t>(body.size()))}};
    }

    void insert_file(Value const& id, std::string const& stored, Document metadata, std::int64_t chunk = 261'120) {
        std::int64_t n = 0;
        for (std::size_t at = 0; at < stored.size(); at += static_cast<std::size_t>(chunk))
            EXPECT_TRUE(mongo().insert(Db::gridfs, "attachments.chunks",
                                       {{"_id", ObjectId::generate()},
                                        {"files_id", id},
                                        {"n", bson::number(n++)},
                                        {"data", Binary{stored.substr(at, static_cast<std::size_t>(chunk))}}}));
        EXPECT_TRUE(mongo().insert(Db::gridfs, "attachments.files",
                                   {{"_id", id},
                                    {"length", static_cast<double>(stored.size())},
                                    {"chunkSize", bson::number(chunk)},
                                    {"uploadDate", Date{received}},
                                    {"md5", "00000000000000000000000000000000"},
                                    {"metadata", std::move(metadata)}}));
    }

    std::string body(Uid uid) {
        auto const snapshot = store->snapshot(box);
        auto const n = (*snapshot)->find(uid);
        if (!n) return "no such message";
        auto const reader = store->body(box, (*snapshot)->row(*n));
        if (!reader) return reader.error().message;
        std::string out;
        auto const done = (*reader)->read(0, (*reader)->size(), out);
        return done ? out : done.error().message + done.error().context;
    }
    std::optional<MessageRecord> record(Uid uid) {
        auto const snapshot = store->snapshot(box);
        auto const n = (*snapshot)->find(uid);
        if (!n) return std::nullopt;
        std::vector<Row const*> const rows = {&(*snapshot)->row(*n)};
        std::optional<MessageRecord> out;
        auto const done =
            store->records(box, rows, want_all, [&](std::size_t, MessageRecord const& one) { out = one; });
        EXPECT_TRUE(done) << done.error().message;
        return out;
    }

    MailboxId const box = MailboxId::generate();
    UserId const user = UserId::generate();
    ObjectId const thread = ObjectId::generate();
    ManualClock clock{SystemClock().now()};
    int derived = 0;
    std::string derived_from;
    std::unique_ptr<TestDatabase> database;
    std::unique_ptr<RedisClient> redis;
    std::unique_ptr<ClusterSharedState> state;
    std::unique_ptr<ClusterEvents> events;
    std::unique_ptr<ClusterMailStore> store;
};

TEST_F(WildDuckDocuments, ReadsNumbersOfEveryTypeAndMissingFields) {
    insert(7, leaf({"Subject: a"}, Binary{"x\r\n"}, 1, 3), 17, {{"size", 17.0}});
    insert(8, leaf({}, Binary{""}, 0, 0), 2, {{"flags", Null{}}, {"idate", Null{}}, {"modseq", 60}});
    auto const snapshot = store->snapshot(box);
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    ASSERT_EQ((*snapshot)->size(), 2u);
    Row const& row = (*snapshot)->row(0);
    EXPECT_EQ(row.uid, 7u);
    EXPECT_EQ(row.modseq, 8u);
    EXPECT_EQ(row.size, 17u);
    EXPECT_EQ(row.internal_date, received);
    EXPECT_EQ((*snapshot)->flags(row), (Flags{seen, {"$Forwarded"}}));  // the flags count, not their mirrors (§18)
    EXPECT_EQ((*snapshot)->flags((*snapshot)->row(1)), Flags{});
    EXPECT_EQ((*snapshot)->uid_next, 100u);
    EXPECT_EQ((*snapshot)->highest_modseq, 60u);
    EXPECT_EQ((*snapshot)->info.uid_validity, 1'700'000'000u);
    EXPECT_EQ((*snapshot)->info.retention_ms, 0);
    EXPECT_EQ((*snapshot)->info.special_use, "");
    // The next message goes on from there, whatever the numbers' types.
    std::string const source = "Subject: b\r\n\r\n";
    auto const tree = mime::parse(source);
    auto const appended = store->append(box, {.source = source, .tree = &tree, .internal_date = received});
    ASSERT_TRUE(appended) << appended.error().message;
    EXPECT_EQ(appended->uid, 100u);
    EXPECT_EQ(appended->modseq, 51u);
}

TEST_F(WildDuckDocuments, RebuildsWithoutTheLineEndThatWildDuckAdds) {  // §9.4
    struct {
        Document tree;
        std::string bytes;
    } const rows[] = {
        {leaf({"A: b"}, Binary{"x\r\n"}, 1, 3), "A: b\r\n\r\nx\r\n"},
        {leaf({"A: b"}, Binary{"x\r\ny\r\n"}, 2, 6), "A: b\r\n\r\nx\r\ny\r\n"},
        {leaf({"A: b"}, Binary{""}, 0, 0), "A: b\r\n\r\n"},
        {leaf({"A: b", "Folded: one\r\n two", "no colon"}, Binary{"x"}, 0, 1),
         "A: b\r\nFolded: one\r\n two\r\nno colon\r\n\r\nx"},
        {leaf({"Subject: caf\xC3\xA9"}, Binary{"na\xEFve"}, 0, 5),
         "Subject: caf\xE9\r\n\r\nna\xEFve"},                                           // binary strings
        {leaf({"A: b"}, Value("na\xC3\xAFve\r\n"), 1, 7), "A: b\r\n\r\nna\xEFve\r\n"},  // of old: string
        {leaf({"A: b"}, Null{}, 0, 0), "A: b\r\n"},
        {multipart({"T: m"}, {leaf({"C: d"}, Binary{"x"}, 0, 1), leaf({"E: f"}, Binary{"y"}, 0, 1)}),
         "T: m\r\n\r\n--B\r\nC: d\r\n\r\nx\r\n--B\r\nE: f\r\n\r\ny\r\n--B--\r\n"},
        {multipart({"T: m"}, {leaf({"C: d"}, Binary{"x"}, 0, 1)}, "pre\r\nepi\r\n"),
         "T: m\r\n\r\npre\r\nepi\r\n--B\r\nC: d\r\n\r\nx\r\n--B--\r\n"},
        {multipart({"T: m"}, {leaf({}, Binary{"x"}, 0, 1)}), "T: m\r\n\r\n--B\r\n\r\n\r\nx\r\n--B--\r\n"},
    };
    Uid uid = 1;
    for (auto const& row : rows) insert(uid++, row.tree, static_cast<std::int64_t>(row.bytes.size()));
    uid = 1;
    for (auto const& row : rows) EXPECT_EQ(body(uid++), row.bytes);
}

TEST_F(WildDuckDocuments, ReadsAttachmentsInEveryForm) {  // §10.3, §17.5
    std::string const digest(32, 'd'), other(32, 'e');
    auto const direct = ObjectId::generate();
    insert_file(Binary{digest}, "%PDF", {{"decoded", true}, {"lineLen", 76}, {"esize", 10}, {"c", 1}, {"m", 4711}});
    insert_file(Binary{other}, "two\r\nlines", {{"esize", 10.0}, {"c", as_int64(1)}, {"m", 4711}}, 4);
    insert_file(direct, "old", Document{});
    auto part = [](Value id, std::int64_t size) {
        auto node = leaf({"C: d"}, Value(false), 0, size);
        node.set("attachmentId", std::move(id));
        return node;
    };
    auto tree = multipart({"T: m"}, {part("ATT00001", 10), part("ATT00002", 10), part(direct, 3)});
    tree.set("attachmentMap", Document{{"ATT00001", Binary{digest}}, {"ATT00002", Binary{other}}});
    insert(1, tree, 90);
    std::string const expected =
        "T: m\r\n\r\n--B\r\nC: d\r\n\r\nJVBERg==\r\n\r\n--B\r\nC: d\r\n\r\ntwo\r\nlines\r\n--B\r\nC: "
        "d\r\n\r\nold\r\n--B--\r\n";
    EXPECT_EQ(body(1), expected);
    auto const snapshot = store->snapshot(box);
    auto const reader = store->body(box, (*snapshot)->row(0));
    ASSERT_TRUE(reader);
    for (std::size_t from = 0; from < expected.size(); from += 7) {
        std::string some;
        ASSERT_TRUE((*reader)->read(from, 11, some));
        EXPECT_EQ(some, expected.substr(from, 11));
    }
}

// A message of ours shares the file: what decoding lost of the body is kept with the message.
TEST_F(WildDuckDocuments, ShareAFileThatLostBytesWithoutLosingThem) {  // §10.3
    std::string const line(76, 'A');
    std::string lines;
    for (int i = 0; i < 30; ++i) lines += line + "\r\n";
    std::string many;
    for (int i = 0; i < 5'000; ++i) many += line + "\r\n";
    struct {
        std::string body;
        std::size_t stored;  // octets that decoding gives
        bool shared_whole;
    } const rows[] = {
        {lines + "QUJDRA==\r\n\r\n", 30 * 57 + 4, true},  // line ends at the end are known by their number
        {lines + "QUJDRB==", 30 * 57 + 4, false},         // bits are left over
        {lines + "QUJD\r\nQUJD", 30 * 57 + 6, false},
        {many + "QUJDRB==", 5'000 * 57 + 4, false},  // too much to keep it in the message's document
    };
    int number = 0;
    for (auto const& row : rows) {
        std::string const marked = "BODY" + std::to_string(number++) + row.body.substr(5);  // each another file
        std::string decoded;
        StoredBytes(true).take(marked, decoded);
        ASSERT_EQ(decoded.size(), row.stored);
        insert_file(Binary{sha256(marked)}, decoded,
                    {{"m", 0},
                     {"c", 0},
                     {"cu", Date{received}},
                     {"esize", bson::number(static_cast<std::int64_t>(marked.size()))},
                     {"transferEncoding", "base64"},
                     {"decoded", true},
                     {"lineLen", 76}});
        std::string const source =
            "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: image/png\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n" +
            marked + "\r\n--B--\r\n";
        auto const tree = mime::parse(source);
        NewMessage message{.source = source, .tree = &tree, .internal_date = received};
        message.record.envelope = "()";
        message.thread_refs = {"ref"};
        auto const appended = store->append(box, std::move(message));
        ASSERT_TRUE(appended) << appended.error().context;
        EXPECT_EQ(body(appended->uid), source) << number;
        auto const stored = mongo().find_one(Db::main, "messages", {{"uid", bson::number(appended->uid)}});
        ASSERT_TRUE(stored && *stored);
        EXPECT_EQ((*stored)->find("mallardSource") == nullptr, row.shared_whole) << number;
    }
    EXPECT_EQ(*mongo().count(Db::gridfs, "attachments.files", {{"metadata.c", 1}}), 5);  // and the literal of the last
}

TEST_F(WildDuckDocuments, SaysWhichAttachmentIsDamaged) {
    std::string const digest(32, 'd');
    insert_file(Binary{digest}, std::string(20, 'x'), Document{}, 8);
    auto tree = leaf({"C: d"}, Value(false), 0, 20);
    tree.set("attachmentId", "ATT00001");
    tree.set("attachmentMap", Document{{"ATT00001", Binary{digest}}});
    insert(1, tree, 28);
    EXPECT_EQ(body(1), "C: d\r\n\r\n" + std::string(20, 'x'));
    ASSERT_TRUE(mongo().erase(Db::gridfs, "attachments.chunks", {{"n", 1}}));
    EXPECT_EQ(body(1), "an attachment is missing in the storeattachment " + hex_encode(digest));
}

TEST_F(WildDuckDocuments, MakesARecordOnceAndKeepsItWhereEveryProcessFindsIt) {
    auto const id = insert(1, leaf({"A: b"}, Binary{""}, 0, 0), 6);  // WildDuck counts two too few (§9.4)
    auto const first = record(1);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->envelope, "(derived)");
    EXPECT_EQ(first->info, std::to_string(received));
    EXPECT_EQ(first->thread, ThreadId(thread));
    EXPECT_EQ(first->header_date, received);
    EXPECT_EQ(Document::decode(first->meta)->text("source"), "MX");
    EXPECT_EQ(derived_from, "A: b\r\n\r\n");
    auto const again = record(1);
    EXPECT_EQ(again->envelope, "(derived)");
    EXPECT_EQ(again->meta, first->meta);
    EXPECT_EQ(derived, 1);
    // What WildDuck wrote is as it was.
    auto const message = mongo().find_one(Db::main, "messages", {{"_id", id}});
    EXPECT_EQ(bson::to_text(*(*message)->find("size")), "6");
    EXPECT_EQ(bson::to_text(*(*message)->find("meta")), "{source:\"MX\", from:\"a@b\"}");
    // Who opens the mailbox from now on knows its true size.
    ClusterMailStore const another(mongo(), *redis, *events, nullptr, clock);
    EXPECT_EQ((*const_cast<ClusterMailStore&>(another).snapshot(box))->row(0).size, 8u);
}

TEST_F(WildDuckDocuments, ReadsNoAttachmentToMakeARecord) {
    std::string const digest(32, 'd');
    insert_file(Binary{digest}, std::string(300, 'x'), {{"decoded", true}, {"lineLen", 76}, {"esize", 410}});
    ASSERT_TRUE(mongo().erase(Db::gridfs, "attachments.chunks", Document{}, true));
    Document parsed{{"content-type", content_type("application", "pdf", {{"name", "a.pdf"}})}};
    auto part = leaf({"Content-Type: application/pdf; name=a.pdf"}, Value(false), 5, 410, parsed);
    part.set("attachmentId", "ATT00001");
    auto tree = multipart({"T: m"}, {part});
    tree.set("attachmentMap", Document{{"ATT00001", Binary{digest}}});
    insert(1, tree, 480);
    ASSERT_TRUE(record(1));
    EXPECT_EQ(derived_from, "T: m\r\n\r\n--B\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\n" +
                                std::string(410, 'A') + "\r\n--B--\r\n");
}

// §9.5, §11.8: WildDuck copies our fields along when it encrypts a message or dates a draft anew.
TEST_F(WildDuckDocuments, DoesNotTrustItsOwnFieldsOnceAnotherServerChangedTheMessage) {
    std::string const source = "Subject: a\n\nbare line ends\n";
    auto const tree = mime::parse(source);
    NewMessage message{.source = source, .tree = &tree, .internal_date = received};
    message.record.envelope = "(ours)";
    message.record.header_date = received;
    auto const appended = store->append(box, message);
    ASSERT_TRUE(appended);
    EXPECT_EQ(body(appended->uid), source);
    EXPECT_EQ(record(appended->uid)->envelope, "(ours)");
    struct {
        Document changes;
    } const rows[] = {
        {{{"magic", 1}, {"size", 900}}},
        {{{"hdate", Date{received + 60'000}}}},
    };
    std::int64_t next_uid = 60;
    for (auto const& row : rows) {
        auto const found = mongo().find_one(Db::main, "messages", {{"_id", appended->id}});
        Document copy = **found;
        auto const id = ObjectId::generate();
        copy.set("_id", id);
        copy.set("uid", bson::number(next_uid++));
        copy.set("modseq", 49);
        for (auto const& [key, value] : row.changes.fields()) copy.set(key, value);
        copy.set("mimeTree", leaf({"Subject: changed"}, Binary{"new\r\n"}, 1, 5));
        auto const uid = static_cast<Uid>(copy.integer("uid"));
        ASSERT_TRUE(mongo().insert(Db::main, "messages", copy));
        store = std::make_unique<ClusterMailStore>(mongo(), *redis, *events, nullptr, clock,
                                                   [this](std::string_view bytes, TimeMs) {
                                                       ++derived;
                                                       derived_from = bytes;
                                                       return MessageRecord{.envelope = "(derived)"};
                                                   });
        EXPECT_EQ(body(uid), "Subject: changed\r\n\r\nnew\r\n");
        EXPECT_EQ(record(uid)->envelope, "(derived)");
        EXPECT_EQ(derived_from, "Subject: changed\r\n\r\nnew\r\n");
    }
    EXPECT_EQ(body(appended->uid), source);
}

TEST_F(WildDuckDocuments, ReadsALargeBodyAFewChunksAtATime) {
    std::string stored(3'000'000, '\0');
    for (std::size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<char>(i * 7 + i / 4'096);
    std::string encoded;
    for (std::string const flat = base64_encode(stored); encoded.empty();)
        for (std::size_t at = 0; at < flat.size(); at += 76) {
            if (at) encoded += "\r\n";
            encoded.append(flat, at, 76);
        }
    std::string bare = encoded;
    std::erase(bare, '\r');
    for (std::string const& text : {encoded, bare}) {
        std::string const eol = text == bare ? "\n" : "\r\n";
        std::string source = "Content-Type: multipart/mixed; boundary=B" + eol + eol + "--B" + eol +
                             "Content-Type: image/png" + eol + "Content-Transfer-Encoding: base64" + eol + eol;
        source += text + eol + "--B--" + eol;
        auto const tree = mime::parse(source);
        auto const appended = store->append(box, {.source = source, .tree = &tree, .internal_date = received});
        ASSERT_TRUE(appended) << appended.error().context;
        auto const snapshot = store->snapshot(box);
        auto const reader = store->body(box, (*snapshot)->row(*(*snapshot)->find(appended->uid)));
        ASSERT_TRUE(reader);
        ASSERT_EQ((*reader)->size(), source.size());
        std::vector<std::string> asked;
        mongo().observe([&](auto const& query) { asked.push_back(bson::to_text(query.filter)); });
        std::string all;
        for (std::uint64_t at = 0; at < source.size(); at += 100'000) ASSERT_TRUE((*reader)->read(at, 100'000, all));
        EXPECT_TRUE(all == source);
        // Twelve chunks, four at once, and the file itself. Bare line ends are read a little ahead, and so some again.
        EXPECT_LE(asked.size(), text == bare ? 6u : 4u) << testing::PrintToString(asked);
        mongo().observe({});
        std::string some;
        for (std::uint64_t const at : {2'500'000u, 17u, 4'000'000u, 1'000'001u}) {
            some.clear();
            ASSERT_TRUE((*reader)->read(at, 1'000, some));
            EXPECT_TRUE(some == source.substr(at, 1'000)) << at;
        }
    }
    EXPECT_EQ(*mongo().count(Db::gridfs, "attachments.files", Document{}), 1);  // both have the same body
}

}  // namespace

}  // namespace mallard::store::cluster
