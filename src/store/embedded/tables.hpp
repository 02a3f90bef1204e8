#pragma once
// The tables of the embedded store, in the order the engine is opened with. Never renumber, only append: a table's
// name is what lies on disk. All integers in keys are big-endian, so that keys sort as numbers do.

#include <array>
#include <span>
#include <vector>

#include "kv/engine.hpp"

namespace mallard::store::embedded {

enum TableId : kv::Table {
    table_meta,       // text -> text: "format", "next_ref"
    table_documents,  // Documents: see documents.cpp
    table_document_index,
    table_state,         // SharedState's hashes and sets
    table_mailbox,       // mailbox id -> MailboxInfo
    table_mailbox_path,  // user id, path -> mailbox id
    table_index,         // mailbox id, first uid (4) -> packed rows; uid 0 -> the checkpoint's head
    table_journal,       // mailbox id, modseq (8) -> one change
    table_vanished,      // mailbox id, modseq (8) -> uid set
    table_record,        // body ref (8) -> MessageRecord
    table_body,       // body ref (8) [, piece (4) from 1] -> piece of the message's own bytes; piece 0 has the layout
    table_body_refs,  // body ref (8) -> references beyond the first
    table_leaf,       // sha256 (32), piece (4) -> piece of a shared MIME leaf
    table_leaf_refs,  // sha256 (32) -> bodies that contain it
    table_ref_log,    // sequence (8) -> body refs gained or lost, not yet counted
    table_intent,     // body ref (8) -> what an append has written ahead of its commit
    table_thread,     // user id, hash of reference and subject (16) -> thread id, day
    table_storage,    // user id -> octets
    table_extra,      // mailbox id, uid (4) -> what REST has said of this copy (extras.hpp)
    table_count
};

inline std::vector<kv::TableSpec> table_specs() {
    using enum kv::TableUse;
    return {
        {"meta", records},   {"documents", records},  {"document_index", records},
        {"state", records},  {"mailbox", records},    {"mailbox_path", records},
        {"index", records},  {"journal", journal},    {"vanished", records},
        {"record", records}, {"body", blobs},         {"body_refs", counters},
        {"leaf", blobs},     {"leaf_refs", counters}, {"ref_log", journal},
        {"intent", journal}, {"thread", records},     {"storage", counters},
        {"extra", records},
    };
}

inline constexpr unsigned format_version = 1;  // what this release writes; it opens every lower one

}  // namespace mallard::store::embedded
