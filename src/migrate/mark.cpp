#include "migrate/mark.hpp"

#include <fmt/format.h>

namespace mallard::migrate {

namespace {

ObjectId the_id() { return ObjectId::from_hex("4d616c6c6172644d6f766564").value(); }  // "MallardMoved"

}  // namespace

store::Collection const& marks_collection() {
    static store::Collection const collection{.name = "mallardmigration", .indexes = {}};
    return collection;
}

Result<std::optional<Mark>> read_mark(store::Documents& documents) {
    MALLARD_TRY(documents.declare(marks_collection()));
    MALLARD_TRY_ASSIGN(auto const found, documents.get(marks_collection(), the_id()));
    if (!found) return std::nullopt;
    return Mark{.state = found->text("state") == "moved" ? Mark::State::moved : Mark::State::arriving,
                .other = std::string(found->text("other")),
                .time = found->date("time").value_or(0)};
}

Result<void> write_mark(store::Documents& documents, Mark const& mark) {
    MALLARD_TRY(erase_mark(documents));
    return documents.insert(marks_collection(), {{"_id", the_id()},
                                                 {"state", mark.state == Mark::State::moved ? "moved" : "arriving"},
                                                 {"other", mark.other},
                                                 {"time", bson::Date{mark.time}}});
}

Result<void> erase_mark(store::Documents& documents) {
    MALLARD_TRY(documents.declare(marks_collection()));
    MALLARD_TRY(documents.erase(marks_collection(), the_id()));
    return {};
}

std::string why_not_served(Mark const& mark) {
    if (mark.state == Mark::State::moved)
        return fmt::format(
            "this store was moved to {}: set `store` and its options accordingly; or, to serve this old copy after "
            "all, "
            "run `mallard migrate --abandon`",
            mark.other);
    return fmt::format(
        "this store is only partly there: a migration from {} has not finished; run `mallard migrate … --switch` to "
        "finish it, or `mallard migrate --abandon` to serve it as it is",
        mark.other);
}

}  // namespace mallard::migrate
