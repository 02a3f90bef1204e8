#pragma once
// What `processes` and `roles` come to: which processes there are, and which services each of them runs.

#include <string>
#include <string_view>
#include <vector>

#include "config/settings.hpp"

namespace mallard::config {

struct Process {
    std::string role;                   // "imap+pop3"; empty: everything that is enabled
    std::vector<std::string> services;  // enabled ones only
};

std::vector<std::string> service_names();  // "imap", "pop3", …: what has an option `enabled`

// In the order in which they start. One: no supervisor is needed. `processors`: what `cpus` stands for.
std::vector<Process> processes(Settings const& settings, std::size_t processors);
Mistakes role_mistakes(Settings const& settings);     // in `roles` itself
Mistakes process_mistakes(Settings const& settings);  // those, or more processes than the store bears

// The settings as that process gets them: services of other processes are not enabled.
Settings settings_of(Process const& process, Settings const& settings);

}  // namespace mallard::config
