#pragma once
// ChangeSignals: whether others may have changed something of a user since one last looked. What lets an index in
// memory be used without asking the database.

#include <cstdint>
#include <memory>
#include <optional>

#include "base/ids.hpp"

namespace mallard::store::cluster {

class ChangeSignals {
public:
    class Watch {
    public:
        virtual ~Watch() = default;
        // Another number than before: another process changed something of the user, or may have. nullopt: at present
        // nothing would be heard. Cheap; from any thread.
        virtual std::optional<std::uint64_t> moment() const = 0;
    };

    virtual ~ChangeSignals() = default;
    // What is committed and announced after this returns changes the moment.
    virtual std::shared_ptr<Watch> watch(UserId user) = 0;
};

}  // namespace mallard::store::cluster
