// What every engine's Documents does.

#include <atomic>
#include <thread>

#include "store/conformance/backend.hpp"

namespace mallard::store::conformance {

// An engine that is tested elsewhere may leave these out.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DocumentsSuite);

namespace {

using bson::Array;
using bson::Date;
using bson::Document;
using bson::Null;

Collection const people{.name = "people",
                        .role = DatabaseRole::users,
                        .indexes = {
                            {.name = "by_name", .fields = {"name"}, .unique = true},
                            {.name = "by_team", .fields = {"team", "rank"}},
                            {.name = "by_tag", .fields = {"tags"}, .sparse = true},
                            {.name = "by_mail", .fields = {"mail.address"}, .unique = true, .sparse = true},
                            {.name = "expiry", .fields = {"expires"}, .ttl_field = "expires"},
                        }};

ObjectId id_of(int n) {
    ObjectId id;
    id.bytes[11] = static_cast<std::uint8_t>(n);
    return id;
}

Document person(int n, std::string_view name) { return {{"_id", id_of(n)}, {"name", name}}; }

class Store {
public:
    explicit Store(Documents& documents) : documents_(documents) { EXPECT_TRUE(documents.declare(people)); }
    void add(Document document) {
        auto const added = documents_.insert(people, std::move(document));
        ASSERT_TRUE(added) << added.error().message << " " << added.error().context;
    }
    // The last byte of each id found, in order.
    std::vector<int> find(Query const& query) {
        auto const found = documents_.find(people, query);
        EXPECT_TRUE(found) << found.error().message << " " << found.error().context;
        std::vector<int> ids;
        for (auto const& document : *found) ids.push_back(document.id("_id")->bytes[11]);
        auto const count = documents_.count(people, query);
        if (!query.after_id && ids.size() < query.limit) {
            EXPECT_EQ(*count, ids.size());
        }
        return ids;
    }
    std::optional<Document> get(int n) { return *documents_.get(people, id_of(n)); }

private:
    Documents& documents_;
};

using Ids = std::vector<int>;

TEST_P(DocumentsSuite, FindsADocumentAndTheOneItNames) {
    Collection const teams{.name = "teams", .role = DatabaseRole::users, .indexes = {}};
    Store store(backend->documents());
    Documents& documents = backend->documents();
    ASSERT_TRUE(documents.declare(teams));
    Document const team{{"_id", id_of(9)}, {"motto", "on"}};
    ASSERT_TRUE(documents.insert(teams, team));
    Document member = person(1, "ada"), stray = person(2, "bob");
    member.set("team", id_of(9));
    stray.set("team", id_of(8));
    for (auto const& one : {member, stray, person(3, "eve")}) store.add(one);
    auto const find = [&](std::string_view name) {
        auto found = documents.find_joined(people, {.index = "by_name", .equals = {name}}, "team", teams);
        EXPECT_TRUE(found) << found.error().message << " " << found.error().context;
        return *found;
    };
    EXPECT_EQ(find("ada")->document, member);
    EXPECT_EQ(find("ada")->other, team);
    EXPECT_EQ(find("bob")->document, stray);
    EXPECT_EQ(find("bob")->other, std::nullopt);
    EXPECT_EQ(find("eve")->other, std::nullopt);
    EXPECT_FALSE(find("nobody"));
}

TEST_P(DocumentsSuite, GivesBackWhatWasInsertedAlsoAfterReopening) {
    Store store(backend->documents());
    Document const document{{"_id", id_of(1)},
                            {"name", "ada"},
                            {"n", Null{}},
                            {"big", 1.5e300},
                            {"list", Array{1, "x"}},
                            {"d", Date{5}},
                            {"b", bson::Binary{"\x01", 0}}};
    store.add(document);
    EXPECT_EQ(store.get(1), document);
    EXPECT_EQ(store.get(2), std::nullopt);
    backend->reopen();
    Store again(backend->documents());
    EXPECT_EQ(again.get(1), document);
    EXPECT_EQ(again.find({.index = "by_name", .equals = {"ada"}}), Ids{1});
}

TEST_P(DocumentsSuite, RefusesASecondDocumentWithAUniqueKey) {
    Store store(backend->documents());
    store.add(person(1, "ada"));
    auto const name = backend->documents().insert(people, person(2, "ada"));
    ASSERT_FALSE(name);
    EXPECT_EQ(name.error().kind, ErrorKind::already_exists);
    EXPECT_EQ(name.error().context, "by_name");
    EXPECT_EQ(store.get(2), std::nullopt);
    auto const id = backend->documents().insert(people, person(1, "bob"));
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().kind, ErrorKind::already_exists);
    EXPECT_EQ(store.get(1)->text("name"), "ada");
    store.add(person(3, "ada2"));
    store.add(person(4, "ad"));
    auto const renamed = backend->documents().update(people, id_of(3), {.set = {{"name", "ada"}}});
    ASSERT_FALSE(renamed);
    EXPECT_EQ(renamed.error().kind, ErrorKind::already_exists);
    EXPECT_EQ(renamed.error().context, "by_name");
    EXPECT_EQ(store.get(3)->text("name"), "ada2");
}

TEST_P(DocumentsSuite, FreesAUniqueKeyWhenItsDocumentLeaves) {
    Store store(backend->documents());
    store.add(person(1, "ada"));
    EXPECT_EQ(backend->documents().erase(people, id_of(1)), true);
    EXPECT_EQ(backend->documents().erase(people, id_of(1)), false);
    store.add(person(2, "ada"));
    ASSERT_TRUE(backend->documents().update(people, id_of(2), {.set = {{"name", "bob"}}}));
    store.add(person(3, "ada"));
    EXPECT_EQ(store.find({.index = "by_name", .equals = {"bob"}}), Ids{2});
}

TEST_P(DocumentsSuite, CountsAbsentAsAKeyExceptInSparseIndexes) {
    Store store(backend->documents());
    store.add({{"_id", id_of(1)}});  // name absent
    EXPECT_FALSE(backend->documents().insert(people, {{"_id", id_of(2)}, {"name", Null{}}}));
    store.add(person(3, "c"));  // mail absent in both 1 and 3: sparse
    auto mail = person(4, "d");
    mail.set_path("mail.address", "d@x");
    store.add(mail);
    auto same = person(5, "e");
    same.set_path("mail.address", "d@x");
    auto const refused = backend->documents().insert(people, same);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().context, "by_mail");
    EXPECT_EQ(store.find({.index = "by_mail"}), Ids{4});
}

TEST_P(DocumentsSuite, FindsInTheOrderOfTheIndexThenOfTheId) {
    Store store(backend->documents());
    int n = 0;
    for (auto [team, rank] : {std::pair{"red", 5}, {"blue", 1}, {"red", -3}, {"red", 5}, {"blue", 1000}}) {
        ++n;
        auto document = person(n, std::to_string(n));
        document.set("team", team);
        document.set("rank", rank);
        store.add(document);
    }
    EXPECT_EQ(store.find({.index = "by_team"}), (Ids{2, 5, 3, 1, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"red"}}), (Ids{3, 1, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"red"}, .descending = true}), (Ids{4, 1, 3}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"red", 5}}), (Ids{1, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"red", 5.0}}), (Ids{1, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"red"}, .from = 5}), (Ids{1, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"red"}, .to = 5}), (Ids{3}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"blue"}, .from = 0, .to = 1000}), (Ids{2}));
    EXPECT_EQ(store.find({.index = "by_team", .from = "c"}), (Ids{3, 1, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .limit = 2}), (Ids{2, 5}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"green"}}), Ids{});
    EXPECT_EQ(store.find({}), (Ids{1, 2, 3, 4, 5}));
    EXPECT_EQ(store.find({.descending = true, .limit = 2}), (Ids{5, 4}));
    EXPECT_EQ(store.find({.equals = {id_of(3)}}), (Ids{3}));
    EXPECT_EQ(store.find({.from = id_of(2), .to = id_of(4)}), (Ids{2, 3}));
    EXPECT_FALSE(backend->documents().find(people, {.index = "no such"}));
}

TEST_P(DocumentsSuite, FindsAnyOfSeveralValuesInTheOrderOfTheIndex) {
    Store store(backend->documents());
    for (int n = 1; n <= 5; ++n) {
        Document document = person(n, std::string(1, static_cast<char>('f' - n)));  // e, d, c, b, a
        document.set("team", n % 2);
        document.set("tags", Array{"t" + std::to_string(n), "shared"});
        store.add(std::move(document));
    }
    EXPECT_EQ(store.find({.index = "by_name", .any_of = {"c", "x", "a", "c", "ab"}}), (std::vector{5, 3}));
    EXPECT_EQ(store.find({.index = "by_name", .any_of = {"x"}}), std::vector<int>{});
    EXPECT_EQ(store.find({.index = "by_name", .any_of = {"a", "b", "c"}, .limit = 2}), (std::vector{5, 4}));
    EXPECT_EQ(store.find({.index = "by_team", .any_of = {1}}), (std::vector{1, 3, 5}));
    EXPECT_EQ(store.find({.index = "by_tag", .any_of = {"t4", "nothing"}}), std::vector{4});
    EXPECT_EQ(store.find({.any_of = {id_of(4), id_of(2), id_of(9)}}), (std::vector{2, 4}));
}

TEST_P(DocumentsSuite, PagesOnAfterADocument) {
    Store store(backend->documents());
    for (int n = 1; n <= 5; ++n) {
        auto document = person(n, std::to_string(n));
        document.set("team", n % 2 == 0 ? "even" : "odd");
        store.add(document);
    }
    // by_team: 2 4 | 1 3 5
    EXPECT_EQ(store.find({.index = "by_team", .after_id = id_of(4), .limit = 2}), (Ids{1, 3}));
    EXPECT_EQ(store.find({.index = "by_team", .after_id = id_of(1), .descending = true}), (Ids{4, 2}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"odd"}, .after_id = id_of(3)}), (Ids{5}));
    EXPECT_EQ(store.find({.index = "by_team", .after_id = id_of(5)}), Ids{});
    EXPECT_EQ(store.find({.after_id = id_of(3)}), (Ids{4, 5}));
    EXPECT_EQ(store.find({.after_id = id_of(3), .descending = true}), (Ids{2, 1}));
}

TEST_P(DocumentsSuite, SortsValuesOfOneTypeAndAsksOnlyForThatType) {
    Store store(backend->documents());
    Array const values = {
        Null{},   -1e300, -5,   0,        0.5,    std::int64_t{1} << 40, "", "a", std::string("a\0", 2), "ab", "b",
        id_of(9), false,  true, Date{-1}, Date{1}};
    for (std::size_t i = 0; i < values.size(); ++i) {
        auto document = person(static_cast<int>(i + 1), std::to_string(i));
        document.set("team", "t");
        document.set("rank", values[i]);
        store.add(document);
    }
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"t"}}),
              (Ids{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"t"}, .from = 0}), (Ids{4, 5, 6}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"t"}, .to = 0}), (Ids{2, 3}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"t"}, .from = "a", .to = "b"}), (Ids{8, 9, 10}));
    EXPECT_EQ(store.find({.index = "by_team", .equals = {"t"}, .to = Date{1}}), (Ids{15}));
}

TEST_P(DocumentsSuite, ListsADocumentUnderEachElementOfAnArray) {
    Store store(backend->documents());
    auto one = person(1, "1");
    one.set("tags", Array{"a", "b", "a"});
    store.add(one);
    auto two = person(2, "2");
    two.set("tags", Array{"b"});
    store.add(two);
    store.add(person(3, "3"));
    EXPECT_EQ(store.find({.index = "by_tag", .equals = {"a"}}), Ids{1});
    EXPECT_EQ(store.find({.index = "by_tag", .equals = {"b"}}), (Ids{1, 2}));
    EXPECT_EQ(store.find({.index = "by_tag"}), (Ids{1, 2}));  // each once; 3 is not in a sparse index
    ASSERT_TRUE(backend->documents().update(people, id_of(1), {.pull = {{"tags", "b"}}}));
    EXPECT_EQ(store.find({.index = "by_tag", .equals = {"b"}}), Ids{2});
}

TEST_P(DocumentsSuite, UpdatesFieldsCountersAndArraysAtOnce) {
    Store store(backend->documents());
    store.add({{"_id", id_of(1)}, {"name", "ada"}, {"n", 1}, {"list", Array{1, 2}}, {"gone", true}});
    auto const after = backend->documents().update(people, id_of(1),
                                                   {.set = {{"a.b", "x"}},
                                                    .unset = {"gone", "never"},
                                                    .increment = {{"n", 41}, {"fresh", -1}},
                                                    .push = {{"list", 2}, {"made", "first"}},
                                                    .add_to_set = {{"set", 1}},
                                                    .expect = {{"name", "ada"}, {"n", 1.0}, {"absent", Null{}}}});
    ASSERT_TRUE(after) << after.error().context;
    EXPECT_EQ(after->integer("n"), 42);
    EXPECT_EQ(after->integer("fresh"), -1);
    EXPECT_EQ(*after->array("list"), (Array{1, 2, 2}));
    EXPECT_EQ(*after->array("made"), (Array{"first"}));
    EXPECT_EQ(after->find_path("a.b")->truthy(), true);
    EXPECT_EQ(after->find("gone"), nullptr);
    EXPECT_EQ(store.get(1), *after);
    auto const more = backend->documents().update(
        people, id_of(1), {.increment = {{"n", 1LL << 40}}, .add_to_set = {{"set", 1}}, .pull = {{"list", 2}}});
    ASSERT_TRUE(more);
    EXPECT_EQ(more->integer("n"), 42 + (1LL << 40));
    EXPECT_EQ(*more->array("set"), (Array{1}));
    EXPECT_EQ(*more->array("list"), (Array{1}));
}

TEST_P(DocumentsSuite, ChangesNothingWhenAnUpdateIsRefused) {
    Store store(backend->documents());
    store.add({{"_id", id_of(1)}, {"name", "ada"}, {"text", "t"}});
    auto const before = store.get(1);
    auto const refused = [&](Update const& update) {
        auto const result = backend->documents().update(people, id_of(1), update);
        return result ? ErrorKind::internal : result.error().kind;
    };
    EXPECT_EQ(refused({.set = {{"x", 1}}, .expect = {{"name", "bob"}}}), ErrorKind::conflict);
    EXPECT_EQ(refused({.set = {{"x", 1}}, .expect = {{"absent", 1}}}), ErrorKind::conflict);
    EXPECT_EQ(refused({.set = {{"x", 1}}, .increment = {{"text", 1}}}), ErrorKind::invalid);
    EXPECT_EQ(refused({.set = {{"x", 1}}, .push = {{"text", 1}}}), ErrorKind::invalid);
    EXPECT_EQ(refused({.set = {{"_id", id_of(7)}}}), ErrorKind::invalid);
    EXPECT_EQ(store.get(1), before);
    auto const none = backend->documents().update(people, id_of(9), {.set = {{"x", 1}}});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::not_found);
    EXPECT_EQ(store.get(9), std::nullopt);
}

TEST_P(DocumentsSuite, ForgetsDocumentsWhoseTimeHasCome) {
    Store store(backend->documents());
    auto document = person(1, "ada");
    document.set("expires", Date{backend->clock().now() + 1000});
    store.add(document);
    store.add(person(2, "bob"));
    EXPECT_EQ(store.find({.index = "by_name"}), (Ids{1, 2}));
    backend->clock().advance(1000);
    EXPECT_EQ(store.get(1), std::nullopt);
    EXPECT_EQ(store.find({.index = "by_name"}), Ids{2});
    EXPECT_FALSE(backend->documents().update(people, id_of(1), {.set = {{"x", 1}}}));
    store.add(person(3, "ada"));  // its name is free
    store.add(person(1, "eve"));  // and its id
    EXPECT_EQ(store.find({.index = "by_name"}), (Ids{3, 2, 1}));
}

TEST_P(DocumentsSuite, BuildsAnIndexThatIsDeclaredLater) {
    Collection bare{.name = "people", .role = DatabaseRole::users, .indexes = {}};
    ASSERT_TRUE(backend->documents().declare(bare));
    for (int n = 1; n <= 3; ++n) {
        auto document = person(n, std::string(1, static_cast<char>('z' - n)));
        ASSERT_TRUE(backend->documents().insert(bare, document));
    }
    Store store(backend->documents());
    EXPECT_EQ(store.find({.index = "by_name"}), (Ids{3, 2, 1}));
    EXPECT_FALSE(backend->documents().insert(people, person(4, "y")));
}

TEST_P(DocumentsSuite, KnowsWhatWasDeclared) {
    std::string name = "things";
    ASSERT_TRUE(backend->documents().declare({.name = name, .indexes = {}}));
    ASSERT_TRUE(backend->documents().declare(people));
    ASSERT_TRUE(backend->documents().declare(people));
    name = "rubbish";
    auto const declared = backend->documents().declared();
    ASSERT_EQ(declared.size(), 2u);
    EXPECT_EQ(declared[0].name, "things");
    EXPECT_EQ(declared[1].name, people.name);
    EXPECT_EQ(declared[1].role, people.role);
    EXPECT_EQ(declared[1].indexes.size(), people.indexes.size());
    EXPECT_EQ(declared[1].indexes[0].fields, people.indexes[0].fields);
}

TEST_P(DocumentsSuite, KeepsCollectionsApart) {
    Collection const others{.name = "people.more", .role = DatabaseRole::users, .indexes = people.indexes};
    Store store(backend->documents());
    ASSERT_TRUE(backend->documents().declare(others));
    store.add(person(1, "ada"));
    ASSERT_TRUE(backend->documents().insert(others, person(1, "ada")));
    EXPECT_EQ(backend->documents().erase(others, id_of(1)), true);
    EXPECT_EQ(store.find({.index = "by_name"}), Ids{1});
}

TEST_P(DocumentsSuite, LetsExactlyOneOfManyTakeAUniqueName) {
    Store store(backend->documents());
    for (int round = 0; round < 10; ++round) {
        std::atomic<int> won = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&, t] {
                auto const name = "name" + std::to_string(round);
                if (backend->documents().insert(people, person(1 + round * 8 + t, name))) ++won;
            });
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(won, 1);
    }
    EXPECT_EQ(store.find({.index = "by_name"}).size(), 10u);
}

TEST_P(DocumentsSuite, LosesNoIncrementOfManyThreads) {
    Store store(backend->documents());
    store.add(person(1, "ada"));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 25; ++i)
                EXPECT_TRUE(backend->documents().update(people, id_of(1), {.increment = {{"n", 1}}}));
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(store.get(1)->integer("n"), 100);
}

TEST_P(DocumentsSuite, CountsACollectionWhileManyComeAndGo) {
    Collection const things{.name = "things", .role = DatabaseRole::users, .indexes = {}};
    auto& documents = backend->documents();
    ASSERT_TRUE(documents.declare(things));
    auto const total = [&] { return documents.count(things, {}).value_or(9999); };
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                auto const id = ObjectId::generate();
                EXPECT_TRUE(documents.insert(things, {{"_id", id}}));
                EXPECT_LE(total(), 80u);
                if (i % 2) EXPECT_TRUE(documents.erase(things, id).value_or(false));
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(total(), 40u);
    auto const id = ObjectId::generate();
    ASSERT_TRUE(documents.insert(things, {{"_id", id}}));
    EXPECT_FALSE(documents.insert(things, {{"_id", id}}));
    EXPECT_TRUE(documents.update(things, id, {.set = {{"a", 1}}}));
    EXPECT_EQ(total(), 41u);
    backend->reopen();
    EXPECT_EQ(backend->documents().count(things, {}).value_or(0), 41u);
}

}  // namespace

}  // namespace mallard::store::conformance
