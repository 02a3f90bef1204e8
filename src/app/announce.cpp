#include <fmt/format.h>

#include <cstdio>

#include "app/engine.hpp"
#include "app/serve.hpp"

namespace mallard::app {

namespace {

std::string ports_of(std::vector<Listening> const& listening, std::string_view service, std::string_view upgrade) {
    std::string out;
    for (Listening const& entry : listening) {
        if (entry.service != service) continue;
        std::string const host = entry.host.find(':') == std::string::npos ? entry.host : "[" + entry.host + "]";
        out += fmt::format("{}{}:{} ({})", out.empty() ? "" : ", ", host, entry.port, entry.secure ? "TLS" : upgrade);
    }
    return out.empty() ? "off" : out;
}

std::string api_url(std::vector<Listening> const& listening) {
    for (Listening const& entry : listening) {
        if (entry.service != "api") continue;
        std::string host = entry.host == "0.0.0.0" || entry.host == "::" ? "localhost" : entry.host;
        if (host.find(':') != std::string::npos) host = "[" + host + "]";
        return fmt::format("{}://{}:{}", entry.secure ? "https" : "http", host, entry.port);
    }
    return "off";
}

}  // namespace

void announce(std::vector<Listening> const& listening, DataDirectory const& directory, config::Settings const& settings,
              CommonOptions const& options, char const* program) {
    std::string data;
    if (!options.config_file.empty()) data = fmt::format(" --config {}", options.config_file);
    if (settings.origin("dataDir") != "default") data += fmt::format(" --data {}", settings.text("dataDir"));
    fmt::print("Mallard {} serves {}\n", MALLARD_VERSION, describe_store(settings, directory));
    fmt::print("  IMAP  {}\n", ports_of(listening, "imap", "STARTTLS"));
    fmt::print("  POP3  {}\n", ports_of(listening, "pop3", "STLS"));
    fmt::print("  LMTP  {}\n", ports_of(listening, "lmtp", "STARTTLS"));
    fmt::print("  REST  {}  (also /health, /metrics)\n", api_url(listening));
    if (directory.read("admin-token"))
        fmt::print("The administrator's access token is in {}\n", directory.file("admin-token"));
    else
        fmt::print(
            "The administrator's access token lies where this installation was founded; another:  {} token "
            "create{}\n",
            program, data);
    fmt::print("Create an account:  {} user add you@example.com{}\n", program, data);
    std::fflush(stdout);
}

}  // namespace mallard::app
