// No query of the hot path reads a collection through: each one's filter and sort follow an index of WildDuck's
// (storage.md §8). On MongoDB the server is asked as well (explain).
#include <algorithm>
#include <map>
#include <mutex>

#include "mime/message.hpp"
#include "store/bson_text.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"
#include "store/cluster/wildduck_indexes.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Document;
using Observed = MongoClient::Observed;

// How a filter bounds a field.
enum class Bound { none, range, equal };

Bound bound_of(Document const& filter, std::string_view field) {
    for (auto const& [key, value] : filter.fields()) {
        if (key == "$and") {
            Bound best = Bound::none;
            for (auto const& clause : *value.as<bson::Array>())
                best = std::max(best, bound_of(*clause.as<Document>(), field));
            if (best != Bound::none) return best;
        }
        if (key != field) continue;
        auto const* operators = value.as<Document>();
        if (!operators || operators->empty() || !operators->fields().front().key.starts_with('$')) return Bound::equal;
        for (auto const& one : operators->fields()) {
            if (one.key == "$eq" || one.key == "$in") return Bound::equal;
            if (one.key == "$gt" || one.key == "$gte" || one.key == "$lt" || one.key == "$lte") return Bound::range;
        }
    }
    return Bound::none;
}

bool is_single(Document const& filter, std::string_view field) {  // equal to one value, not one of several
    auto const* value = filter.find(field);
    auto const* operators = value ? value->as<Document>() : nullptr;
    return value && (!operators || operators->find("$in") == nullptr) && bound_of(filter, field) == Bound::equal;
}

// Does the index bound what is read, and give it in the order that is asked for?
bool serves(IndexDefinition const& index, Observed const& query) {
    for (auto const& [path, value] : index.partial.fields()) {
        auto const* given = query.filter.find(path);
        if (!given || !(*given == value)) return false;
    }
    auto const& key = index.key.fields();
    if (bound_of(query.filter, key.front().key) == Bound::none) return false;
    if (auto const* kind = key.front().value.as<std::string>())
        return *kind == "hashed" && query.sort.empty() && is_single(query.filter, key.front().key);
    std::size_t at = 0;
    while (at < key.size() && is_single(query.filter, key[at].key)) ++at;
    std::optional<bool> reversed;
    for (auto const& wanted : query.sort.fields()) {
        if (is_single(query.filter, wanted.key)) continue;  // the same in all of them
        if (at == key.size() || key[at].key != wanted.key) return false;
        bool const opposite = key[at].value.as_int64() != wanted.value.as_int64();
        if (reversed.value_or(opposite) != opposite) return false;
        reversed = opposite;
        ++at;
    }
    return true;
}

std::string index_for(Observed const& query) {
    if (bound_of(query.filter, "_id") == Bound::equal) return "_id_";
    for (auto const& index : wildduck_indexes()) {
        if (index.db != query.db || index.collection != query.collection) continue;
        if (serves(definition_of(index), query)) return std::string(index.name);
    }
    return "";
}

TEST(IndexUse, KnowsAnIndexThatServesFromOneThatDoesNot) {
    auto const id = ObjectId::generate();
    struct {
        Document filter, sort;
        std::string index;
    } const rows[] = {
        {{{"mailbox", id}}, {{"uid", 1}}, "mailbox_uid"},
        {{{"mailbox", id}}, {{"uid", -1}}, "mailbox_uid"},
        {{{"mailbox", id}, {"modseq", Document{{"$gt", 5}}}}, {}, "mailbox_uid"},
        {{{"mailbox", id}, {"modseq", Document{{"$gt", 5}}}}, {{"modseq", 1}}, "mailbox_modseq_uid"},
        {{{"_id", id}, {"mailbox", id}}, {}, "_id_"},
        {{{"uid", 5}}, {}, ""},
        {{{"mailbox", Document{{"$ne", id}}}}, {}, ""},
        {{{"mailbox", id}}, {{"subject", 1}}, ""},
        {{{"rdate", Document{{"$lte", 1}}}}, {}, ""},
        {{{"exp", true}, {"rdate", Document{{"$lte", 1}}}}, {}, "retention_time"},
        {{{"exp", false}, {"rdate", Document{{"$lte", 1}}}}, {}, ""},
        {{}, {}, ""},
    };
    for (auto const& row : rows)
        EXPECT_EQ(index_for({Db::main, "messages", row.filter, row.sort, ""}), row.index) << bson::to_text(row.filter);
}

class IndexUseTest : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        database = std::make_unique<TestDatabase>();
        ASSERT_TRUE(ensure_wildduck_indexes(mongo()));
        redis = std::move(*RedisClient::open(test_redis_url()));
        state = std::make_unique<ClusterSharedState>(*redis, clock.now());
        events = std::make_unique<ClusterEvents>(*redis, EventsConfig{});
        derive = [](std::string_view, TimeMs) { return MessageRecord{.envelope = "()"}; };
    }
    void TearDown() override {
        if (database) mongo().observe({});
    }
    MongoClient& mongo() { return database->client(); }
    std::unique_ptr<ClusterMailStore> process() {
        return std::make_unique<ClusterMailStore>(mongo(), *redis, *events, nullptr, clock, derive);
    }
    static Result<Appended> append(MailStore& store, MailboxId mailbox, std::string const& source) {
        auto const tree = mime::parse(source);
        NewMessage message{.source = source, .tree = &tree, .internal_date = 1'700'000'000'000};
        message.record.envelope = "()";
        message.thread_refs = {"ref"};
        return store.append(mailbox, std::move(message));
    }

    // All that servers ask of a mail store, but for checks and upkeep of the whole.
    void use() {
        auto const here = process(), there = process();
        MailboxInfo info{.user = user, .path = "INBOX"};
        auto const inbox = here->create_mailbox(info);
        ASSERT_TRUE(inbox);
        info.path = "Other";
        auto const other = here->create_mailbox(info);
        ASSERT_TRUE(other);
        ASSERT_TRUE(append(*here, inbox->id, conformance::with_attachment(400'000, 1)));
        ASSERT_TRUE(append(*here, inbox->id, "A: 1\n\nbare\n"));
        ASSERT_TRUE(here->mailboxes(user) && here->mailbox(inbox->id) && here->find_mailbox(user, "INBOX"));
        auto const first = there->snapshot(inbox->id);
        ASSERT_TRUE(first);
        ASSERT_TRUE(here->change_flags(inbox->id, {{1, 2}}, {FlagMode::add, {seen, {}}, {}}));
        auto const snapshot = there->snapshot(inbox->id);
        ASSERT_TRUE(snapshot);
        // As another server would have left it.
        ASSERT_TRUE(mongo().write(
            Db::main, "messages",
            {.filter = {{"_id", (*snapshot)->row(0).id}}, .document = {{"$unset", Document{{"mallard", 1}}}}}));
        std::vector<Row const*> const rows = {&(*snapshot)->row(0), &(*snapshot)->row(1)};
        ASSERT_TRUE(there->records(inbox->id, rows, want_all, [](std::size_t, MessageRecord const&) {}));
        ASSERT_TRUE(there->bodies(inbox->id, rows, [](std::size_t, std::optional<std::string_view>) {}));
        std::string bytes;
        ASSERT_TRUE((*there->body(inbox->id, *rows[0]))->read(0, 1'000'000, bytes));
        ASSERT_TRUE(there->copy(inbox->id, {{1, 2}}, other->id));
        ASSERT_TRUE(here->move(inbox->id, {{1, 1}}, other->id));
        ASSERT_TRUE(here->expunge(inbox->id, {{2, 2}}, false));
        ASSERT_TRUE(there->vanished_since(inbox->id, 1));
        ASSERT_TRUE(there->snapshot(inbox->id) && there->snapshot(other->id));
        ASSERT_TRUE(here->storage_used(user) && here->storage_used(UserId::generate()));
        ASSERT_TRUE(here->update_mailbox(other->id, {.path = "New"}));
        ASSERT_TRUE(here->delete_mailbox(other->id));
        clock.advance(48LL * 3'600'000);
        ASSERT_TRUE(here->sweep());
    }

    std::vector<Observed> queries_of_use() {
        std::mutex mutex;
        std::vector<Observed> seen;
        mongo().observe([&](Observed const& query) {
            std::lock_guard const lock(mutex);
            seen.push_back(query);
        });
        use();
        mongo().observe({});
        return seen;
    }

    ManualClock clock{SystemClock().now()};
    UserId const user = UserId::generate();
    std::unique_ptr<TestDatabase> database;
    std::unique_ptr<RedisClient> redis;
    std::unique_ptr<ClusterSharedState> state;
    std::unique_ptr<ClusterEvents> events;
    DeriveRecord derive;
};

TEST_F(IndexUseTest, EveryQueryOfTheHotPathFollowsAnIndex) {
    auto const seen = queries_of_use();
    std::map<std::string, std::size_t> used;
    for (auto const& query : seen) {
        auto const index = index_for(query);
        EXPECT_FALSE(index.empty()) << query.collection << " " << bson::to_text(query.filter) << " sorted by "
                                    << bson::to_text(query.sort);
        ++used[query.collection];
    }
    for (auto const* collection :
         {"messages", "mailboxes", "journal", "threads", "users", "attachments.files", "attachments.chunks"})
        EXPECT_GT(used[collection], 0u) << collection;
}

TEST_F(IndexUseTest, TheServerScansNoCollection) {
    auto const seen = queries_of_use();
    Document const unindexed{{"find", "messages"}, {"filter", Document{{"nosuchfield", 1}}}};
    auto const scan = explained_scan(mongo(), Db::main, unindexed);
    if (!scan) GTEST_SKIP() << mongo().features().server << " does not explain its plans";
    EXPECT_NE(*scan, "");
    for (auto const& query : seen) {
        Document find{{"find", query.collection}, {"filter", query.filter}};
        if (!query.sort.empty()) find.set("sort", query.sort);
        if (!query.hint.empty()) find.set("hint", query.hint);
        EXPECT_EQ(explained_scan(mongo(), query.db, find), "") << bson::to_text(find);
    }
}

}  // namespace

}  // namespace mallard::store::cluster
