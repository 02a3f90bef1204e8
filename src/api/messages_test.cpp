#include "api/compose.hpp"
#include "api/message_list.hpp"
#include "api/test_api.hpp"
#include "base/encoding.hpp"

namespace mallard::api {
namespace {

class Folders : public TestApi {};

TEST_F(Folders, AreCreatedRenamedAndDeleted) {
    auto const user = create_user("boxes");
    auto const base = "/users/" + user + "/mailboxes";
    auto const created = call("POST", base, {{"path", "/inbox/Sub Folder/äö"}, {"retention", 5000}});
    ASSERT_EQ(created.status, 200u) << created.body;
    auto const id = created.json["id"].get<std::string>();
    auto box = call("GET", base + "/" + id).json;
    EXPECT_EQ(box["path"], "INBOX/Sub Folder/äö");
    EXPECT_EQ(box["name"], "äö");
    EXPECT_EQ(box["retention"], 5000);
    EXPECT_EQ(box["total"], 0);
    EXPECT_EQ(box["unseen"], 0);
    EXPECT_EQ(box["subscribed"], true);
    EXPECT_FALSE(box.contains("specialUse"));
    EXPECT_TRUE(call("GET", base + "/resolve?path=INBOX").json["specialUse"].is_null());
    EXPECT_EQ(call("PUT", base + "/" + id, {{"path", "Elsewhere"}, {"subscribed", false}, {"hidden", true}}).status,
              200u);
    EXPECT_EQ(call("GET", base).json["results"].size(), 5u);
    EXPECT_EQ(call("GET", base + "?showHidden=true&counters=1&sizes=1").json["results"].size(), 6u);
    EXPECT_EQ(call("GET", base + "?specialUse=true").json["results"].size(), 5u);
    EXPECT_EQ(call("PUT", base + "/" + id, {{"hidden", false}}).status, 200u);
    EXPECT_EQ(call("DELETE", base + "/" + id).status, 200u);
    EXPECT_EQ(call("GET", base + "/" + id).status, 404u);
}

TEST_F(Folders, AreRefusedInTheWordsThatTestsCompare) {
    auto const user = create_user("boxes");
    auto const base = "/users/" + user + "/mailboxes";
    std::string const unknown(24, 'a');
    EXPECT_EQ(call("GET", base + "/" + unknown).error(), "This mailbox does not exist");
    EXPECT_EQ(call("GET", "/users/" + unknown + "/mailboxes").error(), "This user does not exist");
    auto reply = call("PUT", base + "/" + unknown, {{"subscribed", true}});
    EXPECT_EQ(reply.status, 404u);
    EXPECT_EQ(reply.error(), "Mailbox update failed with code NoSuchMailbox");
    auto const inbox = mailbox_id(user, "INBOX");
    reply = call("PUT", base + "/" + inbox, {{"path", "Other"}});
    EXPECT_EQ(reply.status, 400u);
    EXPECT_EQ(reply.error(), "Mailbox update failed with code DisallowedMailboxMethod");
    reply = call("PUT", base + "/" + inbox, Json::object());
    EXPECT_EQ(reply.status, 400u);
    EXPECT_EQ(reply.error(), "Nothing was changed");
    EXPECT_EQ(reply.code(), "");
    EXPECT_EQ(call("DELETE", base + "/" + inbox).error(), "Mailbox deletion failed with code DisallowedMailboxMethod");
    EXPECT_EQ(call("DELETE", base + "/" + unknown).error(), "Mailbox deletion failed with code NoSuchMailbox");
    reply = call("POST", base, {{"path", "somepath/abc/"}});
    EXPECT_EQ(reply.error(), "\"path\" with value \"somepath/abc/\" matches the inverted pattern: /\\/{2,}|\\/$/");
    reply = call("POST", base, {{"path", std::string(513, 'a')}});
    EXPECT_EQ(reply.error(), "Any part of the mailbox path cannot be longer than 512 chars long");
    EXPECT_EQ(call("POST", base, {{"path", 123}}).error(), "\"path\" must be a string");
    EXPECT_EQ(call("POST", base, {{"path", "INBOX"}}).code(), "MailboxExistsError");
    EXPECT_EQ(call("GET", base + "/resolve").status, 400u);
    EXPECT_EQ(call("GET", base + "/resolve?path=None").status, 404u);
}

constexpr char const* sample =
    "From: =?utf-8?Q?=C3=84nn?= <ann@example.com>\r\nTo: Bob <bob@example.org>\r\nSubject: Hi\r\n"
    "Date: Mon, 01 Jan 2024 10:00:00 +0000\r\nMessage-ID: <m1@example.com>\r\nReferences: <r1@x> <r2@x>\r\n"
    "Content-Type: multipart/mixed; boundary=B1\r\n\r\n--B1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
    "--B1\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--B1--\r\n";

class Messages : public TestApi {
protected:
    std::string const user_ = create_user("reader", {{"name", "Reader"}, {"address", "reader@example.com"}});
    std::string const inbox_ = mailbox_id(user_, "INBOX");
    std::string const base_ = "/users/" + user_ + "/mailboxes/" + inbox_ + "/messages";

    TestReply upload(std::string const& source, std::string const& query = "") {
        return send("POST", base_ + query, source, {{"Content-Type", "message/rfc822"}});
    }
    TestReply upload_json(Json const& fields) { return call("POST", base_, fields); }
};

TEST_F(Messages, GoInRawAndComeOutTheSame) {
    auto const stored = upload(sample, "?unseen=true&date=2024-01-02T03:04:05.000Z");
    ASSERT_EQ(stored.status, 200u) << stored.body;
    EXPECT_EQ(stored.json["message"]["id"], 1);
    EXPECT_EQ(stored.json["message"]["mailbox"], inbox_);
    EXPECT_EQ(stored.json["message"]["size"], std::string(sample).size());
    auto const eml = call("GET", base_ + "/1/message.eml");
    EXPECT_EQ(eml.body, sample);
    EXPECT_EQ(eml.headers.get("Content-Type"), "message/rfc822");

    auto const item = call("GET", base_).json["results"][0];
    EXPECT_EQ(item["from"], OrderedJson::parse(R"({"address":"ann@example.com","name":"Änn"})"));
    EXPECT_EQ(item["to"], OrderedJson::parse(R"([{"address":"bob@example.org","name":"Bob"}])"));
    EXPECT_EQ(item["cc"], OrderedJson::array());
    EXPECT_EQ(item["subject"], "Hi");
    EXPECT_EQ(item["messageId"], "<m1@example.com>");
    EXPECT_EQ(item["date"], "2024-01-01T10:00:00.000Z");
    EXPECT_EQ(item["idate"], "2024-01-02T03:04:05.000Z");
    EXPECT_EQ(item["intro"], "Hello");
    EXPECT_EQ(item["attachments"], true);
    EXPECT_EQ(item["attachmentsList"][0]["id"], "ATT00001");
    EXPECT_TRUE(item["attachmentsList"][0]["cid"].is_null());
    EXPECT_EQ(item["seen"], false);
    EXPECT_EQ(item["references"], OrderedJson::array({"<r1@x>", "<r2@x>"}));
    EXPECT_EQ(item["contentType"], OrderedJson::parse(R"({"value":"multipart/mixed","params":{"boundary":"B1"}})"));
    auto const with_headers = call("GET", base_ + "?includeHeaders=true").json["results"][0]["headers"];
    EXPECT_EQ(with_headers["message-id"], "<m1@example.com>");
    EXPECT_EQ(with_headers["from"][0]["address"], "ann@example.com");
}

TEST_F(Messages, AreShownWithTextsAndHashes) {
    upload(sample, "?unseen=1&metaData=%7B%22a%22:1%7D");
    auto const shown = call("GET", base_ + "/1?markAsSeen=true").json;
    EXPECT_EQ(shown["user"], user_);
    EXPECT_EQ(shown["seen"], true);
    EXPECT_EQ(call("GET", base_ + "/1").json["seen"], true);
    EXPECT_EQ(shown["text"], "Hello");
    EXPECT_EQ(shown["html"], OrderedJson::array({"<p>Hello</p>"}));
    EXPECT_EQ(shown["metaData"], OrderedJson::parse(R"({"a":1})"));
    EXPECT_FALSE(shown.contains("cc"));
    auto const attachment = shown["attachments"][0];
    EXPECT_EQ(attachment["hash"], "ff72362a3ad77891c08e791ef20c51dec456679482ea0265a7293a1bfc7b5167");
    EXPECT_EQ(attachment["fileContentHash"], "MV1Cm3cUzttq0ErDEkAUUldpJjBFfzyIJTxb7OrHYCc=");
    EXPECT_EQ(attachment["sizeKb"], 1);
    EXPECT_EQ(attachment["size"], 8);
    auto const content = call("GET", base_ + "/1/attachments/att00001");
    EXPECT_EQ(content.status, 200u);
    EXPECT_EQ(content.body, "%PDF");
    EXPECT_EQ(content.headers.get("Content-Type"), "application/pdf");
    EXPECT_EQ(content.headers.get("Content-Disposition"), "attachment; filename=a.pdf");
    EXPECT_EQ(call("GET", base_ + "/1/attachments/ATT00002").code(), "AttachmentNotFound");
    EXPECT_EQ(call("GET", base_ + "/2").code(), "MessageNotFound");
    EXPECT_EQ(call("GET", base_ + "/1.5").code(), "MessageNotFound");
    EXPECT_EQ(call("GET", base_ + "/0").code(), "InputValidationError");
    EXPECT_EQ(call("GET", base_ + "/2/message.eml").status, 404u);
}

TEST_F(Messages, StreamDecodedAttachmentsInPieces) {
    std::string binary;
    for (int i = 0; i < 1'000'000; ++i) binary += static_cast<char>(i * 7 + i / 256);
    std::string lines;
    auto const encoded = base64_encode(binary);
    for (std::size_t at = 0; at < encoded.size(); at += 76) lines += encoded.substr(at, 76) + "\r\n";
    upload("Subject: x\r\nContent-Type: application/zip; name=z\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines);
    EXPECT_EQ(call("GET", base_ + "/1/attachments/ATT00001").body, binary);
    std::string quoted, plain;
    for (int i = 0; i < 40'000; ++i) {
        quoted += "caf=C3=A9 =\r\nau lait\r\n";
        plain += "café au lait\r\n";
    }
    upload(
        "Subject: x\r\nContent-Type: text/csv\r\nContent-Disposition: attachment\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n" +
        quoted);
    EXPECT_EQ(call("GET", base_ + "/2/attachments/ATT00001").body, plain);
}

TEST_F(Messages, ArePagedByInternalDate) {
    for (int day : {3, 1, 5, 2, 4})
        upload("Subject: " + std::to_string(day) + "\r\n\r\nx",
               "?unseen=" + std::to_string(day % 2) + "&date=2024-01-0" + std::to_string(day));
    auto const subjects = [](OrderedJson const& reply) {
        std::string all;
        for (auto const& item : reply["results"]) all += item["subject"].get<std::string>();
        return all;
    };
    auto const first = call("GET", base_ + "?limit=2").json;
    EXPECT_EQ(subjects(first), "54");
    EXPECT_EQ(first["total"], 5);
    EXPECT_TRUE(first["specialUse"].is_null());
    auto const second = call("GET", base_ + "?limit=2&next=" + first["nextCursor"].get<std::string>()).json;
    EXPECT_EQ(subjects(second), "32");
    EXPECT_EQ(second["page"], 2);
    auto const last = call("GET", base_ + "?limit=2&next=" + second["nextCursor"].get<std::string>()).json;
    EXPECT_EQ(subjects(last), "1");
    EXPECT_EQ(last["nextCursor"], false);
    auto const back = call("GET", base_ + "?limit=2&previous=" + last["previousCursor"].get<std::string>()).json;
    EXPECT_EQ(subjects(back), "32");
    EXPECT_EQ(back["page"], 2);
    auto const start = call("GET", base_ + "?limit=2&previous=" + back["previousCursor"].get<std::string>()).json;
    EXPECT_EQ(subjects(start), "54");
    EXPECT_EQ(start["page"], 1);
    EXPECT_EQ(start["previousCursor"], false);
    EXPECT_EQ(subjects(call("GET", base_ + "?order=asc").json), "12345");
    EXPECT_EQ(subjects(call("GET", base_ + "?unseen=true").json), "531");
    EXPECT_EQ(subjects(call("GET", base_ + "?unseen=false").json), "42");
    EXPECT_NE(call("GET", base_ + "?next=WyIxIiwyXQ").error().find("Invalid paging cursor"), std::string::npos);
    EXPECT_EQ(call("GET", "/users/" + user_ + "/mailboxes/" + std::string(24, 'a') + "/messages").code(),
              "NoSuchMailbox");
}

TEST_F(Messages, AreCollapsedAndCountedByThread) {
    upload("Message-ID: <a@x>\r\nSubject: Topic\r\n\r\n1", "?date=2024-01-01");
    upload("Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\nSubject: Re: Topic\r\n\r\n2", "?date=2024-01-02&draft=true");
    upload("Message-ID: <c@x>\r\nSubject: Other\r\n\r\n3", "?date=2024-01-03");
    auto const collapsed = call("GET", base_ + "?collapseThreads=true&threadCounters=true&includeHasDrafts=1").json;
    EXPECT_EQ(collapsed["total"], 2);
    EXPECT_EQ(collapsed["results"][1]["subject"], "Re: Topic");
    EXPECT_EQ(collapsed["results"][1]["threadMessageCount"], 2);
    EXPECT_EQ(collapsed["results"][1]["hasDrafts"], true);
    EXPECT_EQ(collapsed["results"][0]["hasDrafts"], false);
    auto const plain = call("GET", base_ + "?includeHasDrafts=1&order=asc").json["results"];
    EXPECT_EQ(plain[0]["hasDrafts"], true);
    EXPECT_EQ(plain[1]["hasDrafts"], false);
}

TEST_F(Messages, ChangeFlagsMoveAndGo) {
    for (int i = 0; i < 4; ++i) upload("Subject: " + std::to_string(i) + "\r\n\r\nx", "?unseen=1");
    EXPECT_EQ(call("PUT", base_, {{"message", "1,3,9"}, {"seen", true}, {"flagged", "1"}}).json["updated"], 2);
    EXPECT_EQ(call("GET", base_ + "/3").json["flagged"], true);
    EXPECT_EQ(call("PUT", base_ + "/4:3", {{"seen", false}, {"deleted", true}}).json["updated"], 2);
    EXPECT_EQ(call("GET", base_ + "/3").json["seen"], false);
    auto reply = call("PUT", base_, {{"message", "1"}});
    EXPECT_EQ(reply.status, 500u);
    EXPECT_EQ(reply.code(), "");
    EXPECT_EQ(call("PUT", base_ + "/77", {{"seen", true}}).code(), "MessageNotFound");
    EXPECT_EQ(call("PUT", base_ + "/x", {{"seen", true}}).code(), "InputValidationError");
    EXPECT_EQ(call("PUT", base_ + "/1", {{"moveTo", std::string(24, 'a')}}).code(), "NoSuchMailbox");
    EXPECT_EQ(call("PUT", base_ + "/1", {{"expires", "2030-01-01"}, {"metaData", {{"b", 2}}}}).json["updated"], 1);
    auto shown = call("GET", base_ + "/1").json;
    EXPECT_EQ(shown["expires"], "2030-01-01T00:00:00.000Z");
    EXPECT_EQ(shown["metaData"], OrderedJson::parse(R"({"b":2})"));
    EXPECT_EQ(call("PUT", base_ + "/1", {{"expires", false}}).status, 200u);
    EXPECT_FALSE(call("GET", base_ + "/1").json.contains("expires"));

    auto const trash = mailbox_id(user_, "Trash");
    reply = call("PUT", base_ + "/2:*", {{"moveTo", trash}, {"flagged", true}});
    EXPECT_EQ(reply.json["mailbox"], trash);
    EXPECT_EQ(reply.json["id"], OrderedJson::parse("[[2,1],[3,2],[4,3]]"));
    EXPECT_EQ(call("GET", "/users/" + user_ + "/mailboxes/" + trash + "/messages/1").json["flagged"], true);
    EXPECT_EQ(call("DELETE", base_ + "/1").status, 200u);
    reply = call("DELETE", base_ + "/1");
    EXPECT_EQ(reply.status, 404u);
    EXPECT_FALSE(reply.json.contains("code"));
    reply = call("DELETE", "/users/" + user_ + "/mailboxes/" + trash + "/messages");
    EXPECT_EQ(reply.json["deleted"], 3);
    EXPECT_EQ(reply.json["errors"], 0);
    EXPECT_EQ(call("POST", "/users/" + user_ + "/quota/reset", Json::object()).json["storageUsed"], 0);
}

TEST_F(Messages, AreMadeOfStructuredFields) {
    auto const reply = upload_json(
        {{"from", {{"name", "Änn, the first"}, {"address", "ann@example.com"}}},
         {"to", {{{"name", "Bob"}, {"address", "bob@example.org"}}, {{"address", "broken"}}}},
         {"bcc", {{{"address", "hidden@example.org"}}}},
         {"subject", "Grüße"},
         {"text", "plain ä"},
         {"html", "<p>Look: <img src=\"data:image/png;base64,AAEC\" data-filename=\"dot.png\"></p>"},
         {"headers", {{{"key", "X-Own"}, {"value", "yes\r\nInjected: no"}}}},
         {"attachments", {{{"filename", "täst-Ā.txt"}, {"contentType", "text/plain"}, {"content", "aGVsbG8="}}}},
         {"flagged", true}});
    ASSERT_EQ(reply.status, 200u) << reply.body;
    auto const shown = call("GET", base_ + "/1").json;
    EXPECT_EQ(shown["from"], OrderedJson::parse(R"({"address":"ann@example.com","name":"Änn, the first"})"));
    EXPECT_EQ(shown["to"].size(), 1u);
    EXPECT_EQ(shown["bcc"][0]["address"], "hidden@example.org");
    EXPECT_EQ(shown["subject"], "Grüße");
    EXPECT_EQ(shown["text"], "plain ä");
    EXPECT_EQ(shown["flagged"], true);
    EXPECT_EQ(shown["envelope"]["from"], "ann@example.com");
    EXPECT_EQ(shown["envelope"]["rcpt"].size(), 2u);
    ASSERT_EQ(shown["attachments"].size(), 2u);
    EXPECT_EQ(shown["attachments"][0]["disposition"], "inline");
    EXPECT_EQ(shown["attachments"][1]["filename"], "täst-Ā.txt");
    EXPECT_NE(shown["html"][0].get<std::string>().find("attachment:ATT00001"), std::string::npos);
    auto const linked = call("GET", base_ + "/1?replaceCidLinks=true").json["html"][0].get<std::string>();
    EXPECT_NE(linked.find(base_ + "/1/attachments/ATT00001"), std::string::npos);
    EXPECT_EQ(call("GET", base_ + "/1/attachments/ATT00002").body, "hello");
    auto const eml = call("GET", base_ + "/1/message.eml").body;
    EXPECT_EQ(eml.find("\r\nInjected:"), std::string::npos);
    EXPECT_NE(eml.find("filename*0*=utf-8''t%C3%A4st-%C4%80.txt"), std::string::npos) << eml;
}

TEST_F(Messages, AnswerAndReplaceOthers) {
    upload(
        "From: Ann <ann@example.com>\r\nTo: reader@example.com, carl@example.com\r\nMessage-ID: <q@x>\r\nReferences: "
        "<p@x>\r\n"
        "Subject: Question\r\n\r\nWhat?");
    auto const answer =
        upload_json({{"text", "This."}, {"reference", {{"mailbox", inbox_}, {"id", 1}, {"action", "replyAll"}}}});
    ASSERT_EQ(answer.status, 200u) << answer.body;
    auto const shown = call("GET", base_ + "/2").json;
    EXPECT_EQ(shown["draft"], true);
    EXPECT_EQ(shown["subject"], "Re: Question");
    EXPECT_EQ(shown["from"]["address"], "reader@example.com");
    EXPECT_EQ(shown["references"], OrderedJson::array({"<q@x>", "<p@x>"}));
    EXPECT_EQ(shown["to"].size(), 2u);
    EXPECT_EQ(shown["reference"]["action"], "replyAll");
    EXPECT_EQ(shown["thread"], call("GET", base_ + "/1").json["thread"]);
    auto const replaced = upload_json({{"text", "Better."}, {"draft", true}, {"replacePrevious", {{"id", 2}}}});
    EXPECT_EQ(replaced.json["previousDeleted"], true);
    EXPECT_EQ(call("GET", base_ + "/2").status, 404u);
    EXPECT_TRUE(upload_json({{"text", "x"}, {"replacePrevious", {{"id", 2}}}}).json.contains("previousDeleteError"));
    auto const foreign = upload_json({{"from", {{"address", "boss@example.com"}}}, {"text", "x"}, {"draft", true}});
    auto const id = std::to_string(foreign.json["message"]["id"].get<int>());
    EXPECT_EQ(call("GET", base_ + "/" + id).json["from"]["address"], "reader@example.com");
}

TEST_F(Messages, AreRefusedWhenEmptyTooManyOrForbidden) {
    EXPECT_EQ(upload_json(Json::object()).code(), "EmptyMessage");
    EXPECT_EQ(send("POST", base_, "Subject: x\r\n\r\n", {{"Content-Type", "application/octet-stream"}}).code(),
              "EmptyMessage");
    EXPECT_EQ(upload_json({{"cc", {{{"address", "broken"}}}}}).json["details"].contains("cc,0,address"), true);
    EXPECT_EQ(upload_json({{"raw", "Subject: as is\r\n\r\nx"}}).status, 200u);
    EXPECT_EQ(call("GET", base_ + "/1/message.eml").body, "Subject: as is\r\n\r\nx");
    call("PUT", "/users/" + user_, {{"quota", 100}});
    EXPECT_EQ(upload(std::string(200, 'x')).code(), "OverQuotaError");
    call("PUT", "/users/" + user_, {{"disabled", true}});
    EXPECT_EQ(upload("x").code(), "UserDisabled");
    auto const other = create_user("other");
    EXPECT_EQ(call("POST", "/users/" + other + "/mailboxes/" + inbox_ + "/messages", {{"text", "x"}}).code(),
              "NoSuchMailbox");
    EXPECT_EQ(call("GET", "/users/" + other + "/mailboxes/" + inbox_ + "/messages/1").code(), "MessageNotFound");
}

TEST(Compose, TurnsDataImagesIntoAttachments) {
    std::vector<mime::NewAttachment> images;
    auto const html = extract_images(
        "a<IMG alt='x' src='data:image/gif;base64,R0lG'>b<img src=http://x/y.png><img src=\"data:,\"><img "
        "src=\"data:text\"",
        "x", images);
    ASSERT_EQ(images.size(), 2u);
    EXPECT_EQ(images[0].content, "GIF");
    EXPECT_EQ(images[0].content_type, "image/gif");
    EXPECT_TRUE(html.starts_with("a<IMG alt='x' src='cid:" + images[0].content_id + "'>b<img src=http://x/y.png>"))
        << html;
    EXPECT_TRUE(html.ends_with("<img src=\"data:text\""));
}

}  // namespace
}  // namespace mallard::api
