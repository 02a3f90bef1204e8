#include "api/address_view.hpp"

#include "api/roles.hpp"
#include "api/values.hpp"

namespace mallard::api {

using namespace http;

namespace {

OrderedJson date_or_false(std::optional<TimeMs> const& date) {
    return date ? OrderedJson(iso_date(*date)) : OrderedJson(false);
}

OrderedJson autoreply_json(accounts::Autoreply const& reply) {
    OrderedJson out{{"status", reply.status}};
    if (reply.start) out["start"] = date_or_false(reply.start);
    if (reply.end) out["end"] = date_or_false(reply.end);
    for (auto const& [key, text] : {std::pair<char const*, std::string const&>{"name", reply.name},
                                    {"subject", reply.subject},
                                    {"text", reply.text},
                                    {"html", reply.html}}) {
        if (!text.empty()) out[key] = text;
    }
    return out;
}

}  // namespace

void add_data(Call const& call, accounts::Address const& address, OrderedJson& item, bool meta, bool internal) {
    if (meta && !address.meta_data.empty()) item["metaData"] = parsed_object(address.meta_data);
    if (internal && !address.internal_data.empty()) item["internalData"] = parsed_object(address.internal_data);
    filter_output(call.who.role, "addresses", item);
}

void add_forwarding(Call& call, accounts::Address const& address, OrderedJson& reply) {
    constexpr std::int64_t forwards_default = 2000;
    reply["targets"] = target_values(address.targets);
    reply["limits"] = {{"forwards", counter_limit(call.services.state, "wdf:" + address.id.hex(),
                                                  address.forwards > 0 ? address.forwards : forwards_default)}};
    reply["autoreply"] = autoreply_json(address.autoreply);
}

Schema address_or_wildcard() { return alternatives({email(), text().rule(rules::wildcard_address)}); }

std::vector<Field> forwarded_fields() {
    auto const forwards = object({required("allowed", number()), required("used", number()),
                                  required("ttl", alternatives({number(), boolean()}))});
    auto const date_or_no = alternatives({date(), boolean()});
    auto const autoreply = object({required("status", boolean()), optional("start", date_or_no),
                                   optional("end", date_or_no), optional("name", text()), optional("subject", text()),
                                   optional("text", text()), optional("html", text())});
    return {required("id", id()),
            optional("address", text()),
            optional("name", text()),
            optional("targets", array(text())),
            required("limits", object({required("forwards", forwards)})),
            required("autoreply", autoreply),
            required("created", date()),
            required("tags", array(text())),
            optional("metaData", open_object()),
            optional("internalData", open_object()),
            optional("forwardedDisabled", boolean())};
}

}  // namespace mallard::api
