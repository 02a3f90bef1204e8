#pragma once
// ContentSweep: counts the reference log and frees bodies and leaves that nothing points at any more, in bounded atomic
// steps. Whatever a crash leaves undone, the next sweep does. One step at a time (it locks inside).

#include <mutex>
#include <unordered_map>

#include "store/embedded/content.hpp"
#include "store/embedded/ref_log.hpp"

namespace mallard::store::embedded {

class ContentSweep {
public:
    ContentSweep(kv::Engine& engine, Content& content) : engine_(engine), content_(content) {}

    // One bounded step over entries below `end` (RefLog::settled_end now or earlier). true: there is more to do.
    Result<bool> step(std::uint64_t end);
    // Frees bodies that no row refers to, whatever their counters say (check's repair).
    Result<void> free_bodies(std::span<BodyRef const> refs);

private:
    struct Leaves;  // what a step does to leaf counters

    Result<void> clear_intents();
    Result<bool> count_entry(std::string const& key, RefEntry entry);
    Result<std::vector<BodyRef>> lose(std::span<BodyRef const> refs, bool whatever_counted, kv::WriteBatch& batch,
                                      Leaves& leaves);
    Result<std::int64_t> leaf_count(std::string const& hash) const;
    Result<bool> free_body(BodyRef ref, kv::WriteBatch& batch, Leaves& leaves);

    kv::Engine& engine_;
    Content& content_;
    std::mutex mutex_;
    std::string position_;  // first key of the log that may still be there
};

}  // namespace mallard::store::embedded
