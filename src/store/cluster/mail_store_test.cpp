// The mail store on real servers: the conformance suite, and what only this engine has.
#include "store/cluster/mail_store.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>

#include "base/random.hpp"
#include "mime/message.hpp"
#include "store/cluster/mail_backend.hpp"
#include "store/cluster/message_document.hpp"
#include "store/conformance/mail_store_expiry_suite.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::cluster {
namespace {

std::vector<conformance::BackendFactory> backends() {
    if (!have_servers()) return {};
    return {{"Cluster", [] { return std::make_unique<MailBackend>(); }}};
}

}  // namespace
}  // namespace mallard::store::cluster

namespace mallard::store::conformance {
INSTANTIATE_TEST_SUITE_P(Cluster, MailStoreSuite, testing::ValuesIn(cluster::backends()), name_of_backend);
INSTANTIATE_TEST_SUITE_P(Cluster, ExpirySuite, testing::ValuesIn(cluster::backends()), name_of_backend);
}  // namespace mallard::store::conformance

namespace mallard::store::cluster {
namespace {

TEST_F(ClusterMail, WritesTheFieldsOfAMessageAsWildDuckDoes) {  // storage.md §4.2, §11.9
    auto const box = make_mailbox("INBOX");
    std::string const source =
        "From: Ann <ann@example.com>\r\nSubject: Hi\r\nMessage-ID: <m1@example.com>\r\n\r\nHello\r\n";
    auto const appended = append(backend->mail(), box.id, source);
    ASSERT_TRUE(appended) << appended.error().message << ' ' << appended.error().context;
    auto const found = backend->mongo().find_one(Db::main, "messages", {{"_id", appended->id}});
    ASSERT_TRUE(found && *found);
    bson::Document const& message = **found;
    EXPECT_EQ(message.text("v"), "1.0");
    EXPECT_EQ(*message.find("uid"), bson::Value(1));
    EXPECT_EQ(*message.find("modseq"), bson::Value(2));
    EXPECT_EQ(*message.find("size"), bson::Value(static_cast<std::int32_t>(source.size())));
    EXPECT_EQ(message.text("msgid"), "<m1@example.com>");
    EXPECT_EQ(message.text("text"), "Hello");
    EXPECT_EQ(message.text("intro"), "Hello");
    EXPECT_TRUE(message.boolean("unseen") && message.boolean("undeleted") && message.boolean("searchable"));
    EXPECT_EQ(*message.find("ha"), bson::Value(false));
    EXPECT_EQ(message.id("user"), user);
    EXPECT_FALSE(message.find("attachments") || message.find("mallardSource") || message.find("mallardSize"));
    auto const journal = backend->mongo().find(Db::main, "journal", {{"mailbox", box.id}, {"command", "EXISTS"}});
    ASSERT_TRUE(journal);
    ASSERT_EQ(journal->size(), 1u);
    EXPECT_EQ(*journal->front().find("uid"), bson::Value(1));
    EXPECT_EQ(*journal->front().find("modseq"), bson::Value(2));
    EXPECT_EQ(*journal->front().find("unseen"), bson::Value(true));
    EXPECT_EQ(journal->front().id("message"), appended->id);
}

TEST_F(ClusterMail, StoresADecodedAttachmentOnceAndCountsIt) {  // storage.md §10.3
    auto const box = make_mailbox("INBOX");
    auto const source = conformance::with_attachment(500'000, 3);
    auto const appended = append(backend->mail(), box.id, source);
    ASSERT_TRUE(appended) << appended.error().message << ' ' << appended.error().context;
    ASSERT_TRUE(append(backend->mail(), box.id, source));
    auto const files = backend->mongo().find(Db::gridfs, "attachments.files", {});
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 1u);
    auto const* metadata = files->front().document("metadata");
    ASSERT_TRUE(metadata);
    EXPECT_EQ(metadata->integer("c"), 2);
    EXPECT_EQ(*metadata->find("decoded"), bson::Value(true));
    EXPECT_EQ(*metadata->find("lineLen"), bson::Value(76));
    EXPECT_EQ(files->front().integer("length"), 375'000);
    ASSERT_TRUE(backend->mail().expunge(box.id, {{1, 2}}, false));
    EXPECT_EQ(files_of(0).integer("c"), 2);  // the archive counts on
    backend->clock().advance(25LL * 24 * 3'600'000);
    while (*backend->mail().sweep()) {}
    EXPECT_EQ(files_of(0).integer("c"), 0);
    backend->clock().advance(25LL * 3'600'000);
    while (*backend->mail().sweep()) {}
    EXPECT_EQ(*backend->mongo().count(Db::gridfs, "attachments.files", {}), 0);
    EXPECT_EQ(*backend->mongo().count(Db::gridfs, "attachments.chunks", {}), 0);
}

}  // namespace
}  // namespace mallard::store::cluster
