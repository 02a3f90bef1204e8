#include "api/message_list.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "api/message_view.hpp"
#include "api/paging.hpp"
#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"
#include "mime/message.hpp"

namespace mallard::api {
namespace {

using store::date_place;
using store::DatePlace;
using store::DateWalk;
using store::Row;

std::string where_of(Row const& row) {
    return Json::array({Json{{"$date", http::iso_date(row.internal_date)}}, Json{{"$oid", row.id.hex()}}}).dump();
}

std::optional<DatePlace> parse_where(std::string const& where) {
    auto const parsed = http::parse_json(where);
    if (!parsed || !parsed->is_array() || parsed->size() != 2) return std::nullopt;
    Json const &date = (*parsed)[0], &id = (*parsed)[1];
    if (!date.is_object() || !id.is_object()) return std::nullopt;
    auto const ms = http::parse_any_date(date.value("$date", ""));
    auto const oid = ObjectId::from_hex(id.value("$oid", ""));
    if (!ms || !oid) return std::nullopt;
    return DatePlace{*ms, *oid};
}

using Threads = std::unordered_map<Row const*, ThreadId>;

Result<Threads> threads_of(Call& call, MailboxId mailbox, std::vector<Row const*> const& rows) {
    Threads threads;
    MALLARD_TRY(call.services.mailboxes.store().records(
        mailbox, rows, 0,
        [&](std::size_t i, store::MessageRecord const& record) { threads.emplace(rows[i], record.thread); }));
    return threads;
}

// One message of each thread: the first in the order of the listing.
Result<std::vector<Row const*>> collapse(Call& call, MailboxId mailbox, std::vector<Row const*> rows, bool ascending) {
    MALLARD_TRY_ASSIGN(auto const threads, threads_of(call, mailbox, rows));
    std::unordered_map<ThreadId, Row const*> first;
    for (auto const& [row, thread] : threads) {
        auto const [kept, is_new] = first.try_emplace(thread, row);
        bool const earlier = date_place(*row) < date_place(*kept->second);
        if (!is_new && earlier == ascending) kept->second = row;
    }
    std::vector<Row const*> kept;
    for (auto const& [thread, row] : first) kept.push_back(row);
    return kept;
}

// What is said of the threads of a page, over all mailboxes of the user.
struct ThreadFacts {
    std::unordered_map<ThreadId, std::uint64_t> counts;
    std::unordered_set<ThreadId> with_draft;
    std::unordered_set<std::string> answered_by_draft;  // message ids
};

// Reads the record of every message of the user when counts are asked for, else of drafts alone.
Result<ThreadFacts> thread_facts(Call& call, bool counts, bool drafts) {
    ThreadFacts facts;
    if (!counts && !drafts) return facts;
    MALLARD_TRY_ASSIGN(auto const mailboxes, call.services.mailboxes.list(call.user()));
    for (auto const& mailbox : mailboxes) {
        auto const index = call.services.mailboxes.snapshot(mailbox.id);
        if (!index) continue;  // deleted meanwhile
        std::vector<Row const*> rows;
        for (std::uint32_t n = 0; n < (*index)->size(); ++n) {
            Row const& row = (*index)->row(n);
            if (counts || (row.system & store::draft)) rows.push_back(&row);
        }
        MALLARD_TRY(call.services.mailboxes.store().records(
            mailbox.id, rows, drafts ? store::want_info : 0u, [&](std::size_t i, store::MessageRecord const& record) {
                if (counts) ++facts.counts[record.thread];
                if (!drafts || !(rows[i]->system & store::draft)) return;
                facts.with_draft.insert(record.thread);
                facts.answered_by_draft.emplace(documents_of(record).info.text("inReplyTo"));
            }));
    }
    return facts;
}

OrderedJson header_value(std::string const& key, std::string const& value) {
    static std::unordered_set<std::string> const address_fields{"from", "sender", "reply-to",    "to",
                                                                "cc",   "bcc",    "delivered-to"};
    if (!address_fields.contains(key)) return mime::decode_words(value);
    OrderedJson list = OrderedJson::array();
    for (auto const& address : mime::parse_addresses(value)) {
        if (!address.is_group) {
            list.push_back({{"address", address.address()}, {"name", address.name}});
            continue;
        }
        OrderedJson members = OrderedJson::array();
        for (auto const& member : address.group)
            members.push_back({{"address", member.address()}, {"name", member.name}});
        list.push_back({{"name", address.name}, {"group", std::move(members)}});
    }
    return list;
}

// All header fields, from the first bytes of the message.
Result<OrderedJson> headers_of(Call& call, MailboxId mailbox, Row const& row) {
    constexpr std::uint64_t header_max = 256 * 1024;
    MALLARD_TRY_ASSIGN(auto const reader, call.services.mailboxes.store().body(mailbox, row));
    std::string head;
    MALLARD_TRY(reader->read(0, header_max, head));
    auto const entity = mime::parse(head, {.depth_max = 0, .parts_max = 1});
    OrderedJson headers = OrderedJson::object();
    for (auto const& field : entity.fields) {
        auto const key = mime::to_valid_utf8(to_lower(field.name));
        OrderedJson value = header_value(key, mime::unfold(field.value));
        if (key == "content-type") {
            value = {{"value", entity.type + "/" + entity.subtype}, {"type", entity.type}, {"subtype", entity.subtype}};
            value["params"] = OrderedJson::object();
            for (auto const& parameter : entity.parameters) value["params"][parameter.name] = parameter.value;
        }
        if (!headers.contains(key)) {
            headers[key] = std::move(value);
        } else if (headers[key].is_array()) {
            for (auto& item : value.is_array() ? value : OrderedJson::array({value})) headers[key].push_back(item);
        } else {
            headers[key] = OrderedJson::array({headers[key], value});
        }
    }
    return headers;
}

Result<OrderedJson> items_of(Call& call, store::MailboxIndex const& index, std::vector<Row const*> const& rows) {
    bool const counts = call.flag("threadCounters"), drafts = call.flag("includeHasDrafts");
    MALLARD_TRY_ASSIGN(auto const facts, thread_facts(call, counts, drafts));
    OrderedJson items = OrderedJson::array();
    std::vector<Row const*> listed;
    MALLARD_TRY(call.services.mailboxes.store().records(
        index.info.id, rows, store::want_info | store::want_meta,
        [&](std::size_t i, store::MessageRecord const& record) {
            OrderedJson item = list_item(index, *rows[i], record, call.flag("metaData"));
            if (counts)
                item["threadMessageCount"] = facts.counts.contains(record.thread) ? facts.counts.at(record.thread) : 1;
            if (drafts) {
                item["hasDrafts"] = call.flag("collapseThreads")
                                        ? facts.with_draft.contains(record.thread)
                                        : facts.answered_by_draft.contains(item["messageId"].get<std::string>());
            }
            items.push_back(std::move(item));
            listed.push_back(rows[i]);
        }));
    if (!call.flag("includeHeaders")) return items;
    for (std::size_t i = 0; i < listed.size(); ++i) {
        auto headers = headers_of(call, index.info.id, *listed[i]);
        if (!headers && headers.error().kind != ErrorKind::not_found)
            return std::unexpected(std::move(headers.error()));
        items[i]["headers"] = headers ? std::move(*headers) : OrderedJson::object();
    }
    return items;
}

struct MessagePage {
    std::vector<Row const*> rows;
    PageEdges edges;
};

// Of rows in the order they were walked. `behind`: there are more before the first, `ahead`: behind the last.
void finish(MessagePage& page, bool backward, bool behind, bool ahead) {
    if (page.rows.empty()) return;
    if (backward) {
        std::ranges::reverse(page.rows);
        std::swap(behind, ahead);
    }
    if (behind) page.edges.previous = where_of(*page.rows.front());
    if (ahead) page.edges.next = where_of(*page.rows.back());
}

bool is_unseen(Row const& row) { return (row.system & store::seen) == 0; }

// A page of the mailbox as it is: O(page + chunks), however many messages there are.
MessagePage page_of_mailbox(store::MailboxIndex const& mailbox, std::optional<bool> unseen,
                            std::optional<DatePlace> const& cursor, PageRequest const& request, bool ascending) {
    auto const wanted = [&](store::ChunkSummary const& chunk) {
        return !unseen || (*unseen ? chunk.unseen > 0 : chunk.unseen < chunk.rows);
    };
    auto const next = [&](DateWalk& walk) {
        Row const* row = walk.next();
        while (row && unseen && *unseen != is_unseen(*row)) row = walk.next();
        return row;
    };
    bool const backward = request.backward && cursor, up = ascending != backward;
    auto const onward = up ? DateWalk::Order::ascending : DateWalk::Order::descending;
    auto const back = up ? DateWalk::Order::descending : DateWalk::Order::ascending;
    MessagePage page;
    auto const counts = mailbox.counts();
    page.edges.total = !unseen ? counts.messages : *unseen ? counts.unseen : counts.messages - counts.unseen;
    DateWalk walk(mailbox, onward, cursor, wanted);
    Row const* row = next(walk);
    for (; row && page.rows.size() < request.limit; row = next(walk)) page.rows.push_back(row);
    bool behind = false;
    if (cursor && !page.rows.empty()) {
        DateWalk others(mailbox, back, date_place(*page.rows.front()), wanted);
        behind = next(others) != nullptr;
    }
    finish(page, backward, behind, row != nullptr);
    return page;
}

// A page of its threads, one message of each: all have to be looked at.
Result<MessagePage> page_of_threads(Call& call, store::MailboxIndex const& mailbox, std::optional<bool> unseen,
                                    std::optional<DatePlace> const& cursor, PageRequest const& request,
                                    bool ascending) {
    std::vector<Row const*> rows;
    for (std::uint32_t n = 0; n < mailbox.size(); ++n)
        if (Row const& row = mailbox.row(n); !unseen || *unseen == is_unseen(row)) rows.push_back(&row);
    MALLARD_TRY_ASSIGN(rows, collapse(call, mailbox.info.id, std::move(rows), ascending));
    MessagePage page;
    page.edges.total = rows.size();
    bool const backward = request.backward && cursor, up = ascending != backward;
    auto const before = [up](DatePlace const& a, DatePlace const& b) { return up ? a < b : b < a; };
    auto const all = rows.size();
    if (cursor) std::erase_if(rows, [&](Row const* row) { return !before(*cursor, date_place(*row)); });
    bool const behind = rows.size() < all;
    auto const count = std::min(request.limit, rows.size());
    std::ranges::partial_sort(rows, rows.begin() + static_cast<std::ptrdiff_t>(count), before,
                              [](Row const* row) { return date_place(*row); });
    bool const ahead = rows.size() > count;
    rows.resize(count);
    page.rows = std::move(rows);
    finish(page, backward, behind, ahead);
    return page;
}

}  // namespace

Answer get_messages(Call& call) {
    auto const index = open_mailbox(call);
    if (!index) return std::unexpected(index.error());
    store::MailboxIndex const& mailbox = **index;
    auto const unseen = call.has("unseen") ? std::optional(call.flag("unseen")) : std::nullopt;
    bool const ascending = call.text("order") == "asc";
    auto const request = page_request(call);
    auto const cursor = request.where.empty() ? std::nullopt : parse_where(request.where);
    if (!request.where.empty() && !cursor) return std::unexpected(invalid_cursor());
    auto const page = call.flag("collapseThreads") ? page_of_threads(call, mailbox, unseen, cursor, request, ascending)
                                                   : page_of_mailbox(mailbox, unseen, cursor, request, ascending);
    if (!page) return std::unexpected(failure_of(page.error(), Subject::message));
    auto items = items_of(call, mailbox, page->rows);
    if (!items) return std::unexpected(failure_of(items.error(), Subject::message));
    OrderedJson reply = success();
    OrderedJson paged = OrderedJson::object();
    add_page(paged, request, page->edges, std::move(*items));
    for (auto const* key : {"total", "page", "previousCursor", "nextCursor"}) reply[key] = paged[key];
    reply["specialUse"] =
        mailbox.info.special_use.empty() ? OrderedJson(nullptr) : OrderedJson(mailbox.info.special_use);
    reply["results"] = std::move(paged["results"]);
    return reply;
}

}  // namespace mallard::api
