#pragma once
// The names of a new user's folders by language (storage.md §17.2). Pure.

#include <string_view>

namespace mallard::accounts {

struct FolderNames {
    std::string_view sent, trash, drafts, junk;
};

// `language` as in "de" or "pt_BR": what stands before "_" counts; unknown: English.
FolderNames folder_names(std::string_view language);

}  // namespace mallard::accounts
