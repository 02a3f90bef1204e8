#pragma once
// Migration: everything from one store to another, in passes.
//
//   begin(); pass() until it changes little; verify_contents(); pass() …         while the source is served
//   pass() until it changes nothing; verify(); finish();                         while nobody writes to it
//
// - Each pass compares both sides and carries over what differs: nothing is remembered between runs, so after a kill -9
//   the next run goes on where it broke off, and nothing comes twice.
// - The target must be empty, or be what an earlier run of this migration left (mark.hpp). Nobody else uses it.
// - Users are handled several at a time.

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "migrate/mirror_mail.hpp"
#include "migrate/side.hpp"
#include "migrate/verify.hpp"

namespace mallard::migrate {

struct MigrationConfig {
    std::string from, to;  // the engines' names, for people
    unsigned threads = 4;
};

class Migration {
public:
    // What is done, how far: "Copying", 12 of 400 messages. false: stop, the calls give `closed`.
    using Progress = std::function<bool(std::string_view what, std::uint64_t done, std::uint64_t total)>;

    Migration(Side from, Side to, Clock const& clock, MigrationConfig config, Progress progress);

    Result<void> begin();
    Result<std::uint64_t> pass();  // how much differed
    Result<Verified> verify_contents();
    Result<Verified> verify();
    Result<void> finish();

    Compared& compared() { return compared_; }  // may be carried from one run to the next

private:
    Result<std::vector<UserId>> users();
    Result<std::uint64_t> remove_users();
    Result<void> for_each_user(std::vector<UserId> const& users,
                               std::function<Result<void>(UserId)> const& visit) const;
    Result<std::uint64_t> count_messages(std::vector<UserId> const& users);
    void start(std::string_view what, std::uint64_t total);
    bool step(std::uint64_t by);

    Side const from_, to_;
    Clock const& clock_;
    MigrationConfig const config_;
    Compared compared_;
    MirrorMail mirror_;

    std::mutex progress_mutex_;
    Progress progress_;
    std::string what_;
    std::uint64_t done_ = 0, total_ = 0;
    std::uint64_t messages_ = 0;  // in the source when the first pass began; for the progress
    bool counted_ = false;
};

// Takes the mark away: the store may be served as it is.
Result<void> abandon(store::Documents& documents);

}  // namespace mallard::migrate
