#pragma once
// The note that a migration leaves in a store: of the target while it arrives, so that nobody serves half a store and
// no migration overwrites a store that is not its own; of the source when it has moved, so that nobody goes on
// writing to it. A document of a collection of its own, in both engines.

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "store/documents.hpp"

namespace mallard::migrate {

struct Mark {
    enum class State { arriving, moved };
    State state = State::arriving;
    std::string other;  // the engine it comes from or went to; more where that says too little
    TimeMs time = 0;
};

store::Collection const& marks_collection();

// Declares the collection when it is not known yet.
Result<std::optional<Mark>> read_mark(store::Documents& documents);
Result<void> write_mark(store::Documents& documents, Mark const& mark);
Result<void> erase_mark(store::Documents& documents);

// Why a store with this mark must not be served, as a sentence for the operator.
std::string why_not_served(Mark const& mark);

}  // namespace mallard::migrate
