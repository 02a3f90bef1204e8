# The build's vocabulary: mallard_module, mallard_fuzz.
#
#   mallard_module(NAME mime DEPS base LIBS ICU::uc PCH)
#     every *.cpp of the folder becomes the library mallard_<name>, every *_test.cpp the test program <name>_test.
#     DEPS are our modules (checked against each #include by scripts/lint-layers), LIBS are libraries of others.
#     PROGRAM mallard: main.cpp becomes that program, linked with the library.
#     TEST_LAUNCHER: a program that starts the test program, after it has set up what that needs.
#     PCH: use the precompiled header for servers and tests; pure modules compile quicker without.

set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE)  # what one folder finds, those that link it see too
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

set(MALLARD_SANITIZE "" CACHE STRING "address;undefined, thread, or empty")
option(MALLARD_FUZZ "build the libFuzzer targets" OFF)
option(MALLARD_TESTS "build the tests" ON)
if(MALLARD_FUZZ)
    add_custom_target(fuzzers)  # all of them, and nothing else
endif()

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt REQUIRED)
find_package(GTest REQUIRED)

add_library(mallard_flags INTERFACE)
target_compile_options(mallard_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
    "SHELL:-Xclang -fno-pch-timestamp")  # so that ccache can cache what uses the precompiled header
target_include_directories(mallard_flags INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_definitions(mallard_flags INTERFACE
    BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_BEAST_SEPARATE_COMPILATION
    MALLARD_VERSION="${PROJECT_VERSION}")
target_link_libraries(mallard_flags INTERFACE fmt::fmt Threads::Threads)
target_link_options(mallard_flags INTERFACE -fuse-ld=lld-19)
if(MALLARD_SANITIZE)
    string(REPLACE ";" "," sanitizers "${MALLARD_SANITIZE}")
    target_compile_options(mallard_flags INTERFACE -fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
    target_link_options(mallard_flags INTERFACE -fsanitize=${sanitizers})
endif()
if(MALLARD_FUZZ)
    target_compile_options(mallard_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(mallard_module)
    cmake_parse_arguments(ARG "PCH" "NAME;PROGRAM;TEST_LAUNCHER" "DEPS;LIBS;TEST_DEPS;TEST_LIBS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS *.cpp)
    set(tests ${sources})
    list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
    list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
    list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")

    set(target mallard_${ARG_NAME})
    set(visibility PUBLIC)
    if(sources)
        add_library(${target} STATIC ${sources})
    else()  # headers only
        add_library(${target} INTERFACE)
        set(visibility INTERFACE)
    endif()
    target_link_libraries(${target} ${visibility} mallard_flags)
    foreach(dep ${ARG_DEPS})
        target_link_libraries(${target} ${visibility} mallard_${dep})
    endforeach()
    target_link_libraries(${target} ${visibility} ${ARG_LIBS})
    set_property(TARGET ${target} PROPERTY MALLARD_DEPS "${ARG_DEPS}")
    if(ARG_PCH AND sources)
        target_precompile_headers(${target} PRIVATE "${CMAKE_SOURCE_DIR}/cmake/pch.hpp")
    endif()

    if(ARG_PROGRAM)
        add_executable(${ARG_PROGRAM} main.cpp)
        target_link_libraries(${ARG_PROGRAM} PRIVATE ${target})
    endif()

    if(MALLARD_TESTS AND tests AND NOT MALLARD_FUZZ)
        add_executable(${ARG_NAME}_test ${tests})
        target_link_libraries(${ARG_NAME}_test PRIVATE ${target} GTest::gtest_main ${ARG_TEST_LIBS})
        foreach(dep ${ARG_TEST_DEPS})
            target_link_libraries(${ARG_NAME}_test PRIVATE mallard_${dep})
        endforeach()
        target_compile_definitions(${ARG_NAME}_test PRIVATE MALLARD_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
        add_test(NAME ${ARG_NAME} COMMAND ${ARG_TEST_LAUNCHER} $<TARGET_FILE:${ARG_NAME}_test> --gtest_brief=1)
        set_tests_properties(${ARG_NAME} PROPERTIES TIMEOUT 600)
    endif()
endfunction()

# mallard_cluster_test(imap imap_test): the test program once more, as the test <name>_cluster, on a store of the cluster
# engine (tests/engines), with servers of its own.
function(mallard_cluster_test name program)
    if(NOT TARGET ${program})
        return()
    endif()
    add_test(NAME ${name}_cluster
        COMMAND "${CMAKE_SOURCE_DIR}/tests/mongo/with-servers" $<TARGET_FILE:${program}> --gtest_brief=1)
    set_tests_properties(${name}_cluster PROPERTIES LABELS cluster SKIP_RETURN_CODE 77 TIMEOUT 600
        ENVIRONMENT MALLARD_TEST_ENGINE=cluster)
endfunction()

# mallard_fuzz(NAME mime DEPS mime CORPUS corpus/mime): fuzz/<name>_fuzz.cpp defines LLVMFuzzerTestOneInput. With
# MALLARD_FUZZ it becomes a libFuzzer program; in every other build a replay program that runs its corpus in ctest.
function(mallard_fuzz)
    cmake_parse_arguments(ARG "" "NAME;CORPUS" "DEPS" ${ARGN})
    set(target ${ARG_NAME}_fuzz)
    if(MALLARD_FUZZ)
        add_executable(${target} ${ARG_NAME}_fuzz.cpp)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        add_dependencies(fuzzers ${target})
    elseif(MALLARD_TESTS)
        add_executable(${target} ${ARG_NAME}_fuzz.cpp replay_main.cpp)
        add_test(NAME fuzz_corpus_${ARG_NAME} COMMAND ${target} "${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS}")
    else()
        return()
    endif()
    target_link_libraries(${target} PRIVATE mallard_flags)
    foreach(dep ${ARG_DEPS})
        target_link_libraries(${target} PRIVATE mallard_${dep})
    endforeach()
endfunction()
