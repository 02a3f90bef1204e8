// Changes of accounts on a disk that fails at every write in turn: each is done or not done, and can be done again.

#include <gtest/gtest.h>

#include <functional>

#include "accounts/accounts.hpp"
#include "store/embedded/faulty_store.hpp"

namespace mallard::accounts {
namespace {

// Accounts on the whole embedded store, on a disk that may fail.
struct Machine : store::embedded::FaultyStore {
    Machine(std::shared_ptr<kv::MemoryState> memory, int fail_at, bool once)
        : FaultyStore(std::move(memory), fail_at, once) {
        if (!store) return;
        AccountsConfig config;
        config.email_domain = "example.com";
        config.pbkdf2_iterations = 1;
        accounts.emplace(store->documents(), store->state(), store->mail(), store->events(), clock, config);
        up = accounts->open().has_value();
    }

    bool logs_in(std::string const& name, std::string const& password) {
        return accounts->authenticate({.username = name, .password = password, .protocol = "IMAP"}).has_value();
    }
    // Whose main address this is, whose other one ("+ada"), or "-".
    std::string owner_of(std::string const& address) {
        auto const found = accounts->resolve(address, false).value();
        if (!found || !found->user) return "-";
        auto const user = accounts->get(*found->user).value();
        if (!user) return "nobody";
        return (found->address.main ? "" : "+") + user->username;
    }
    UserId user(std::string const& name) { return accounts->find_by_username(name).value().value().id; }

    std::optional<Accounts> accounts;
    bool up = false;
};

struct Scenario {
    char const* name;
    std::function<bool(Machine&)> change;  // true: it said that it was done
    // Empty: as it should be, `done` or not done.
    std::function<std::string(Machine&, bool done)> look;
};

Result<Address> add(Machine& machine, std::string const& address, bool main) {
    return machine.accounts->add_address(machine.user("ada"), address, "", {}, "", "", main, false);
}

// Of ada's first address.
bool rename(Machine& machine, std::string const& address) {
    auto const all = machine.accounts->addresses(machine.user("ada"));
    return all && machine.accounts->update_address(machine.user("ada"), all->front().id, {.address = address});
}

// Of two states one; the second is what the change leads to.
std::string one_of(bool done, bool before, bool after) {
    if (before == after) return "neither as before nor as after";
    return done && !after ? "it was said to be done and is not" : "";
}

Scenario const scenarios[] = {
    {"CreateUser",
     [](Machine& machine) { return machine.accounts->create({.username = "bob", .password = "secret"}).has_value(); },
     [](Machine& machine, bool done) -> std::string {
         if (machine.logs_in("bob", "secret")) {
             auto const boxes = machine.store->mail().mailboxes(machine.user("bob")).value();
             if (boxes.size() != 5) return "a user with " + std::to_string(boxes.size()) + " mailboxes";
             return machine.owner_of("bob@example.com") == "bob" ? "" : "a user without address";
         }
         return done ? "it was said to be done and is not" : "";
     }},
    {"DeleteUser", [](Machine& machine) { return machine.accounts->erase(machine.user("ada")).has_value(); },
     [](Machine& machine, bool done) -> std::string {
         auto const left = machine.accounts->find_by_username("ada").value();
         if (done && left) return "it was said to be done and is not";
         if (!left && machine.owner_of("ada@example.com") != "-") return "an address without user";
         // Half deleted it is disabled, and the deletion can be repeated.
         if (left && left->disabled && machine.logs_in("ada", "secret")) return "a disabled user logs in";
         if (left && !machine.accounts->erase(left->id)) return "it cannot be repeated";
         return "";
     }},
    {"ChangePassword",
     [](Machine& machine) { return machine.accounts->update(machine.user("ada"), {.password = "new"}).has_value(); },
     [](Machine& machine, bool done) {
         return one_of(done, machine.logs_in("ada", "secret"), machine.logs_in("ada", "new"));
     }},
    {"AddAddress", [](Machine& machine) { return add(machine, "more@example.com", false).has_value(); },
     [](Machine& machine, bool done) -> std::string {
         std::string const owner = machine.owner_of("more@example.com");
         if (owner != "-" && owner != "+ada") return "the address is of " + owner;
         if (machine.owner_of("ada@example.com") != "ada") return "the main address was lost";
         return done && owner == "-" ? "it was said to be done and is not" : "";
     }},
    {"AddMainAddress", [](Machine& machine) { return add(machine, "more@example.com", true).has_value(); },
     [](Machine& machine, bool done) -> std::string {
         std::string const owner = machine.owner_of("more@example.com");
         if (owner == "ada") return machine.owner_of("ada@example.com") == "+ada" ? "" : "two main addresses";
         if (machine.owner_of("ada@example.com") != "ada") return "no main address";
         return done ? "it was said to be done and is not" : "";
     }},
    {"RenameMainAddress", [](Machine& machine) { return rename(machine, "new@example.com"); },
     [](Machine& machine, bool done) -> std::string {
         bool const before = machine.owner_of("ada@example.com") == "ada";
         if (before) return done ? "it was said to be done and is not" : "";
         // Cut off between its two documents it is completed by its repetition.
         if (machine.owner_of("new@example.com") == "+ada" && (done || !rename(machine, "new@example.com")))
             return "the main address is lost";
         return machine.owner_of("new@example.com") == "ada" ? "" : "no main address";
     }},
    {"DeleteAddress",
     [](Machine& machine) {
         auto const found = machine.accounts->resolve("second@example.com", false).value();
         return found && machine.accounts->erase_address(machine.user("ada"), found->address.id).has_value();
     },
     [](Machine& machine, bool done) -> std::string {
         std::string const owner = machine.owner_of("second@example.com");
         if (owner != "-" && owner != "+ada") return "the address is of " + owner;
         return done && owner != "-" ? "it was said to be done and is not" : "";
     }},
};

class FaultSweep : public testing::TestWithParam<std::tuple<Scenario, bool>> {};

TEST_P(FaultSweep, IsDoneOrNotDoneWhateverWriteFails) {
    auto const& [scenario, once] = GetParam();
    for (int fail_at = 1;; ++fail_at) {
        SCOPED_TRACE(fail_at);
        ASSERT_LT(fail_at, 100);
        auto const memory = kv::new_memory_state();
        {
            Machine machine(memory, 0, false);
            ASSERT_TRUE(machine.accounts->create({.username = "ada", .password = "secret"}));
            ASSERT_TRUE(add(machine, "second@example.com", false));
        }
        bool done = false, fired = false;
        {
            Machine machine(memory, fail_at, once);
            done = machine.up && scenario.change(machine);
            fired = machine.faulty->fired();
        }
        Machine reopened(memory, 0, false);
        ASSERT_TRUE(reopened.up);
        EXPECT_EQ(scenario.look(reopened, done), "") << (done ? "done" : "refused");
        auto const report = reopened.store->mail().check(false, {});
        ASSERT_TRUE(report);
        EXPECT_EQ(report->problems, std::vector<std::string>());
        if (!fired) {
            EXPECT_TRUE(done);
            break;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Disk, FaultSweep, testing::Combine(testing::ValuesIn(scenarios), testing::Bool()),
                         [](auto const& info) {
                             return std::string(std::get<0>(info.param).name) +
                                    (std::get<1>(info.param) ? "FailsOnce" : "IsLost");
                         });

}  // namespace
}  // namespace mallard::accounts
