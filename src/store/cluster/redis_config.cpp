// Where Redis is, as WildDuck's configuration says it (storage.md §2, protocols.md).
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "store/cluster/redis_client.hpp"

namespace mallard::store::cluster {

namespace {

using Json = nlohmann::json;

constexpr std::uint16_t sentinel_port = 26'379;

std::unexpected<Error> bad(std::string_view what) {
    return fail(ErrorKind::invalid, "The place of Redis cannot be read (" + std::string(what) +
                                        "): redis://host:port/database, or an object with host, port, db, password");
}

bool parse_number(std::string_view text, int& out) {
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned byte = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
            out.push_back(static_cast<char>(byte));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

bool parse_port(int number, std::uint16_t& out) {
    if (number < 1 || number > 65'535) return false;
    out = static_cast<std::uint16_t>(number);
    return true;
}

// "host", "host:port", "[::1]:port"; what is missing stays as it is.
bool parse_place(std::string_view text, std::string& host, std::uint16_t& port) {
    bool const bracketed = text.starts_with('[');
    if (bracketed && !text.contains(']')) return false;
    auto const colon = bracketed ? text.find("]:") : text.rfind(':');
    if (colon != std::string_view::npos) {
        int number = 0;
        if (!parse_number(text.substr(colon + (bracketed ? 2 : 1)), number) || !parse_port(number, port)) return false;
        text = text.substr(0, colon + (bracketed ? 1 : 0));
    }
    if (bracketed) text = text.substr(1, text.size() - 2);
    if (!text.empty()) host = text;
    return true;
}

bool is_yes(std::string_view text) { return text == "yes" || text == "true" || text == "1"; }

Result<RedisConfig> parse_url(std::string_view url) {
    RedisConfig out;
    bool const with_sentinels = url.starts_with("redis-sentinel://");
    out.tls.enabled = url.starts_with("rediss://");
    if (!with_sentinels && !out.tls.enabled && !url.starts_with("redis://")) return bad("its scheme");
    url.remove_prefix(url.find("//") + 2);
    auto const question = std::min(url.find('?'), url.size());
    auto query = url.substr(std::min(question + 1, url.size()));
    url = url.substr(0, question);
    auto const slash = std::min(url.find('/'), url.size());
    auto path = url.substr(std::min(slash + 1, url.size()));
    url = url.substr(0, slash);
    if (auto const at = url.rfind('@'); at != std::string_view::npos) {
        auto const login = url.substr(0, at);
        auto const colon = login.find(':');
        if (colon != std::string_view::npos) out.password = percent_decoded(login.substr(colon + 1));
        out.user = percent_decoded(login.substr(0, colon));
        out.user_is_optional = !out.user.empty();
        url = url.substr(at + 1);
    }
    if (with_sentinels) {
        auto const end = std::min(path.find('/'), path.size());
        out.master_name = percent_decoded(path.substr(0, end));
        path = path.substr(std::min(end + 1, path.size()));
        if (out.master_name.empty()) return bad("the name of the master");
        while (!url.empty()) {
            auto const part = url.substr(0, url.find(','));
            url.remove_prefix(std::min(part.size() + 1, url.size()));
            RedisAddress sentinel{.host = {}, .port = sentinel_port, .unix_socket = {}};
            if (!parse_place(part, sentinel.host, sentinel.port) || sentinel.host.empty()) return bad("a sentinel");
            out.sentinels.push_back(std::move(sentinel));
        }
        if (out.sentinels.empty()) return bad("no sentinel");
    } else if (!parse_place(url, out.host, out.port)) {
        return bad("its port");
    }
    if (!path.empty() && !parse_number(path, out.database)) return bad("its database");
    while (!query.empty()) {
        auto const part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(part.size() + 1, query.size()));
        auto const equals = std::min(part.find('='), part.size());
        auto const key = part.substr(0, equals);
        auto const value = percent_decoded(part.substr(std::min(equals + 1, part.size())));
        if (key == "password") out.password = value;
        if (key == "sentinelPassword") out.sentinel_password = value;
        if (key == "tls") out.tls.enabled = is_yes(value);
        if (key == "allowUsernameInURI" && is_yes(value)) out.user_is_optional = false;
        if (key == "db" && !parse_number(value, out.database)) return bad("its database");
    }
    return out;
}

class ObjectReader {
public:
    explicit ObjectReader(Json const& object) : object_(object) {}
    std::string text(char const* key) {
        auto const found = object_.find(key);
        if (found == object_.end() || found->is_null()) return {};
        if (found->is_string()) return found->get<std::string>();
        if (found->is_number_integer()) return std::to_string(found->get<std::int64_t>());
        problem_ = key;
        return {};
    }
    int number(char const* key, int fallback) {
        auto const given = text(key);
        int out = fallback;
        if (!given.empty() && !parse_number(given, out)) problem_ = key;
        return out;
    }
    bool flag(char const* key) {
        auto const found = object_.find(key);
        return found != object_.end() && found->is_boolean() && found->get<bool>();
    }
    std::string const& problem() const { return problem_; }

private:
    Json const& object_;
    std::string problem_;
};

Result<RedisConfig> parse_object(std::string_view text) {
    auto const object = Json::parse(text, nullptr, false);
    if (!object.is_object()) return bad("it is no object");
    RedisConfig out;
    ObjectReader reader(object);
    if (auto const host = reader.text("host"); !host.empty()) out.host = host;
    if (!parse_port(reader.number("port", out.port), out.port)) return bad("port");
    out.unix_socket = reader.text("path");
    out.user = reader.text("username");
    out.password = reader.text("password");
    out.database = reader.number("db", 0);
    out.master_name = reader.text("name");
    out.sentinel_user = reader.text("sentinelUsername");
    out.sentinel_password = reader.text("sentinelPassword");
    if (auto const tls = object.find("tls"); tls != object.end() && (tls->is_object() || *tls == Json(true))) {
        out.tls.enabled = true;
        if (tls->is_object()) {
            out.tls.ca_file = ObjectReader(*tls).text("caFile");
            out.tls.verify = !tls->contains("rejectUnauthorized") || ObjectReader(*tls).flag("rejectUnauthorized");
        }
    }
    out.sentinel_tls = reader.flag("enableTLSForSentinelMode");
    if (auto const sentinels = object.find("sentinels"); sentinels != object.end()) {
        if (!sentinels->is_array() || sentinels->empty()) return bad("sentinels");
        for (auto const& one : *sentinels) {
            if (!one.is_object()) return bad("sentinels");
            ObjectReader place(one);
            RedisAddress sentinel{.host = place.text("host"), .port = sentinel_port, .unix_socket = {}};
            if (!parse_port(place.number("port", sentinel_port), sentinel.port) || sentinel.host.empty())
                return bad("sentinels");
            out.sentinels.push_back(std::move(sentinel));
        }
        if (out.master_name.empty()) return bad("name");
    }
    if (!reader.problem().empty()) return bad(reader.problem());
    return out;
}

}  // namespace

Result<RedisConfig> RedisConfig::parse(std::string_view text) {
    auto const begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    text.remove_prefix(begin);
    if (text.starts_with('{')) return parse_object(text);
    if (text.starts_with("unix:")) {
        RedisConfig out;
        out.unix_socket = text.substr(5);
        return out;
    }
    return parse_url(text);
}

}  // namespace mallard::store::cluster
