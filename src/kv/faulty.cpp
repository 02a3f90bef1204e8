#include <atomic>

#include "base/attempt.hpp"
#include "kv/engine.hpp"

namespace mallard::kv {

namespace {

class Faulty final : public FaultyEngine {
public:
    Faulty(Engine& inner, int fail_at, bool once) : inner_(inner), fail_at_(fail_at), once_(once) {}

    bool fired() const override { return fired_; }
    int commits() const override { return commits_; }

    Result<std::optional<std::string>> get(Table table, std::string_view key, View const* view) const override {
        return inner_.get(table, key, view);
    }
    Result<std::vector<std::optional<std::string>>> multi_get(Table table, std::span<std::string const> keys,
                                                              View const* view) const override {
        return inner_.multi_get(table, keys, view);
    }
    Result<void> commit(WriteBatch const& batch, Durability durability) override {
        if (Attempt::active() && !batch.empty()) return Attempt::give_up();
        int const number = ++commits_;
        if (fail_at_ > 0 && (once_ ? number == fail_at_ : number >= fail_at_)) {
            fired_ = true;
            return fail(ErrorKind::io, "The disk failed", "injected fault");
        }
        return inner_.commit(batch, durability);
    }
    std::unique_ptr<Cursor> scan(Table table, KeyRange range, View const* view) const override {
        return inner_.scan(table, std::move(range), view);
    }
    std::unique_ptr<View> view() const override { return inner_.view(); }
    Result<void> flush() override { return inner_.flush(); }
    Result<void> compact() override { return inner_.compact(); }
    std::vector<std::pair<std::string, double>> statistics() const override { return inner_.statistics(); }

private:
    Engine& inner_;
    int fail_at_;
    bool once_;
    std::atomic<int> commits_{0};
    std::atomic<bool> fired_{false};
};

}  // namespace

std::unique_ptr<FaultyEngine> wrap_faulty(Engine& inner, int fail_at, bool once) {
    return std::make_unique<Faulty>(inner, fail_at, once);
}

}  // namespace mallard::kv
