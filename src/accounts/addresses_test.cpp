#include "accounts/entities.hpp"
#include "accounts/test_backend.hpp"

namespace mallard::accounts {
namespace {

class AddressesTest : public testing::Test {
protected:
    Result<Address> add(UserId user, std::string const& address, bool main = false, bool wildcard = true) {
        return backend.accounts.add_address(user, address, "", {}, "", "", main, wildcard);
    }
    // Whose it is, or "-".
    std::string resolve(std::string_view address, bool wildcards = true) {
        auto const found = backend.accounts.resolve(address, wildcards);
        EXPECT_TRUE(found) << found.error().message;
        return *found ? (*found)->address.address : "-";
    }
    TestBackend backend;
    User ada = backend.add_user("ada");
};

TEST_F(AddressesTest, ResolveWithoutDotsLabelAndCase) {
    ASSERT_TRUE(add(ada.id, "First.Last@Example.com"));
    for (auto address : {"firstlast@example.com", "f.irstlast@EXAMPLE.com", "FIRST.LAST+x+y@example.com"})
        EXPECT_EQ(resolve(address, false), "first.last@example.com") << address;
    for (auto address :
         {"first@example.com", "firstlast@example.org", "firstlast", "@example.com", "", "+x@example.com"})
        EXPECT_EQ(resolve(address, false), "-") << address;
}

TEST_F(AddressesTest, ResolveThroughOneDomainAlias) {
    EXPECT_EQ(resolve("ada@alias.example"), "-");
    ASSERT_TRUE(backend.accounts.add_domain_alias("Alias.example", "EXAMPLE.com"));
    EXPECT_EQ(kind_of(backend.accounts.add_domain_alias("alias.example", "x.example")), ErrorKind::already_exists);
    ASSERT_TRUE(backend.accounts.add_domain_alias("twice.example", "alias.example"));
    EXPECT_EQ(resolve("a.da+x@alias.example", false), "ada@example.com");
    EXPECT_EQ(resolve("ada@twice.example"), "-");
    EXPECT_TRUE(backend.log_in("ada@alias.example", "secret"));
}

TEST_F(AddressesTest, ResolveWildcardsTheLongestFirst) {
    for (auto address :
         {"*@w.example", "sales*@w.example", "sal*@w.example", "*ops@w.example", "info@*", "exact@w.example"})
        ASSERT_TRUE(add(ada.id, address)) << address;
    for (auto const& [address, wanted] : {std::pair{"exact@w.example", "exact@w.example"},
                                          {"sales@w.example", "sales*@w.example"},
                                          {"sales.eu@w.example", "sales*@w.example"},
                                          {"salad@w.example", "sal*@w.example"},
                                          {"devops@w.example", "*ops@w.example"},
                                          {"anything@w.example", "*@w.example"},
                                          {"info@w.example", "*@w.example"},
                                          {"info@elsewhere.example", "info@*"},
                                          {"nobody@elsewhere.example", "-"}})
        EXPECT_EQ(resolve(address), wanted) << address;
    EXPECT_EQ(resolve("sales@w.example", false), "-");
    ASSERT_TRUE(backend.accounts.add_domain_alias("v.example", "w.example"));
    EXPECT_EQ(resolve("devops@v.example"), "*ops@w.example");
    EXPECT_EQ(resolve("exact@v.example", false), "exact@w.example");
}

// Counts what is asked of the Documents behind it.
class CountingDocuments final : public store::Documents {
public:
    explicit CountingDocuments(store::Documents& inner) : inner_(inner) {}
    Result<void> declare(store::Collection const& c) override { return inner_.declare(c); }
    std::vector<store::Collection> declared() const override { return inner_.declared(); }
    Result<std::optional<bson::Document>> get(store::Collection const& c, ObjectId id) const override {
        ++look_ups;
        return inner_.get(c, id);
    }
    Result<std::optional<bson::Document>> find_one(store::Collection const& c, store::Query const& q) const override {
        ++look_ups;
        return inner_.find_one(c, q);
    }
    Result<std::vector<bson::Document>> find(store::Collection const& c, store::Query const& q) const override {
        ++look_ups;
        auto found = inner_.find(c, q);
        if (found) documents += static_cast<int>(found->size());
        return found;
    }
    Result<std::uint64_t> count(store::Collection const& c, store::Query const& q) const override {
        ++look_ups;
        return inner_.count(c, q);
    }
    Result<void> insert(store::Collection const& c, bson::Document d) override {
        return inner_.insert(c, std::move(d));
    }
    Result<bson::Document> update(store::Collection const& c, ObjectId id, store::Update const& u) override {
        return inner_.update(c, id, u);
    }
    Result<bool> erase(store::Collection const& c, ObjectId id) override { return inner_.erase(c, id); }

    mutable int look_ups = 0, documents = 0;

private:
    store::Documents& inner_;
};

TEST_F(AddressesTest, AreFoundOrNotInThreeLookUps) {
    ASSERT_TRUE(add(ada.id, "sal*@example.com"));
    ASSERT_TRUE(backend.accounts.add_domain_alias("alias.example", "example.com"));
    CountingDocuments documents(backend.documents);
    Accounts accounts(documents, backend.state, backend.mail, backend.events, backend.clock, TestBackend::quick());
    std::string const long_name(64, 'x');
    for (auto const& [address, look_ups] : {std::pair<std::string, int>{"ada@example.com", 2},  // one for its user
                                            {"ada@example.com", 0},                             // remembered
                                            {"ada@alias.example", 4},
                                            {"salad@example.com", 4},
                                            {long_name + "@example.com", 3},
                                            {long_name + "@alias.example", 3},
                                            {long_name + "@elsewhere.example", 3}}) {
        documents.look_ups = 0;
        ASSERT_TRUE(accounts.resolve(address, true)) << address;
        EXPECT_LE(documents.look_ups, look_ups) << address;
    }
}

TEST_F(AddressesTest, AreListedByTagAndByUserWithoutALookAtOthers) {
    auto const eve = backend.add_user("eve");
    for (int i = 0; i < 40; ++i) {
        auto const name = std::to_string(i) + "@example.com";
        ASSERT_TRUE(backend.accounts.add_address(ada.id, name, "",
                                                 i < 3 ? std::vector<std::string>{"T"} : std::vector<std::string>{}, "",
                                                 "", i == 1, false));
    }
    CountingDocuments documents(backend.documents);
    Accounts accounts(documents, backend.state, backend.mail, backend.events, backend.clock, TestBackend::quick());
    for (auto const& [request, total] : {std::pair<ListRequest, std::size_t>{{.tags = {"t"}, .limit = 2}, 3},
                                         {{.required_tags = {"t"}}, 3},
                                         {{.user = eve.id}, 1}}) {
        documents.look_ups = documents.documents = 0;
        auto const page = accounts.list_addresses(request);
        ASSERT_TRUE(page);
        EXPECT_EQ(page->total, total);
        EXPECT_EQ(page->results.size(), std::min(total, request.limit));
        for (auto const& address : page->results)
            EXPECT_EQ(address.main, address.address == "1@example.com" || address.user == eve.id) << address.address;
        EXPECT_LE(documents.documents, static_cast<int>(total) + 1);  // and the user
        EXPECT_LE(documents.look_ups, 2);
    }
}

TEST_F(AddressesTest, RefuseWhatIsNoneOrTaken) {
    for (auto address :
         {"a+b@example.com", "no-at", "@example.com", "a@", "**@example.com", "a*b@example.com", "*x*@example.com"})
        EXPECT_EQ(kind_of(add(ada.id, address)), ErrorKind::invalid) << address;
    EXPECT_EQ(kind_of(add(ada.id, "*@example.com", false, false)), ErrorKind::invalid);
    EXPECT_EQ(kind_of(add(ada.id, "*@example.com", true, true)), ErrorKind::invalid);
    EXPECT_EQ(kind_of(add(ada.id, "a.d.a@example.com")), ErrorKind::already_exists);
    EXPECT_EQ(kind_of(add(UserId::generate(), "x@example.com")), ErrorKind::not_found);
}

TEST_F(AddressesTest, KnowTheMainOne) {
    auto const second = add(ada.id, "second@example.com");
    ASSERT_TRUE(second);
    EXPECT_FALSE(second->main);
    ASSERT_TRUE(backend.accounts.resolve("second@example.com", false));
    ASSERT_TRUE(backend.accounts.update_address(ada.id, second->id, {.main = true}));
    EXPECT_EQ((*backend.accounts.get(ada.id))->address, "second@example.com");
    EXPECT_TRUE((*backend.accounts.resolve("second@example.com", false))->address.main);
    EXPECT_FALSE((*backend.accounts.resolve("ada@example.com", false))->address.main);
    EXPECT_EQ(kind_of(backend.accounts.erase_address(ada.id, second->id)), ErrorKind::denied);
    EXPECT_EQ(kind_of(backend.accounts.update_address(ada.id, second->id, {.main = false})), ErrorKind::invalid);
    auto const renamed = backend.accounts.update_address(ada.id, second->id, {.address = "Third.X@example.com"});
    ASSERT_TRUE(renamed);
    EXPECT_TRUE(renamed->main);
    EXPECT_EQ((*backend.accounts.get(ada.id))->address, "third.x@example.com");
    EXPECT_EQ(resolve("second@example.com"), "-");
    EXPECT_EQ(resolve("thirdx@example.com"), "third.x@example.com");
    EXPECT_EQ(kind_of(backend.accounts.update_address(ada.id, second->id, {.address = "ada@example.com"})),
              ErrorKind::already_exists);
    auto const stranger = backend.add_user("bob");
    EXPECT_EQ(kind_of(backend.accounts.update_address(stranger.id, second->id, {.name = "x"})), ErrorKind::not_found);
    EXPECT_EQ(kind_of(backend.accounts.erase_address(stranger.id, second->id)), ErrorKind::not_found);
}

TEST_F(AddressesTest, BecomeTheMainOneOfAUserWithoutAny) {
    auto const bare = backend.accounts.create({.username = "bare", .no_password = true, .empty_address = true});
    ASSERT_TRUE(bare);
    EXPECT_FALSE(add(bare->id, "*@bare.example")->main);
    EXPECT_TRUE(add(bare->id, "bare@bare.example")->main);
    EXPECT_EQ((*backend.accounts.get(bare->id))->address, "bare@bare.example");
}

TEST_F(AddressesTest, ListInTheOrderOfTheDotlessAddress) {
    auto const bob = backend.add_user("bob");
    for (auto address : {"z@example.com", "c.c@example.com"}) ASSERT_TRUE(add(ada.id, address));
    std::string own;
    for (auto const& address : *backend.accounts.addresses(ada.id))
        own += address.address + (address.main ? "! " : " ");
    EXPECT_EQ(own, "ada@example.com! c.c@example.com z@example.com ");
    auto const names = [&](ListRequest const& request) {
        std::string out;
        auto const page = backend.accounts.list_addresses(request);
        for (auto const& address : page->results) out += address.address + " ";
        return out + std::to_string(page->total);
    };
    EXPECT_EQ(names({}), "ada@example.com bob@example.com c.c@example.com z@example.com 4");
    EXPECT_EQ(names({.user = bob.id}), "bob@example.com 1");
    EXPECT_EQ(names({.query = "c.c"}), "c.c@example.com 1");
    auto const first = backend.accounts.list_addresses({.limit = 2});
    EXPECT_EQ(names({.limit = 2, .cursor = *first->next}), "c.c@example.com z@example.com 4");
}

TEST_F(AddressesTest, LeadToForwardsWithoutAUser) {
    ASSERT_TRUE(backend.documents.insert(
        addresses_collection(),
        {{"_id", ObjectId::generate()},
         {"address", "fw@example.com"},
         {"addrview", "fw@example.com"},
         {"targets",
          bson::Array{bson::Document{{"id", ObjectId::generate()}, {"type", "mail"}, {"value", "x@y.z"}}}}}));
    auto const found = backend.accounts.resolve("fw@example.com", false);
    ASSERT_TRUE(*found);
    EXPECT_FALSE((*found)->user);
    EXPECT_EQ((*found)->address.targets.at(0).value, "x@y.z");
    EXPECT_EQ(kind_of(backend.log_in("fw@example.com", "secret")), ErrorKind::auth_failed);
}

}  // namespace
}  // namespace mallard::accounts
