#pragma once
// The oracle's word: a condition that must hold for every input. Prints itself and aborts, so that libFuzzer and the
// replay program report the input.

#include <cstdio>
#include <cstdlib>

#define MALLARD_FUZZ_CHECK(condition)                                                           \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                       \
        }                                                                                       \
    } while (false)
