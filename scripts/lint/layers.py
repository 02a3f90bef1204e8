#!/usr/bin/env python3
"""Every #include "x/y" is of a module that CMake names as a dependency, dependencies point down only, and the headers
of each library of others stay in their one home (docs: how our code reads, last section)."""
import re

from sources import ROOT, finish, modules, read, tracked

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]', re.M)

# header prefix -> (folders whose .cpp may include it, may a .hpp of theirs)
HOMES = {
    "rocksdb/": (("src/kv",), True),
    "rnp/": (("src/encryption",), False),
    "boost/beast": (("src/http",), False),
    "boost/asio/awaitable.hpp": (("src", "tests"), True),
    "boost/asio": (("src/net", "src/http", "src/app", "src/imap", "src/pop3", "src/lmtp", "tests"), False),
    "bson/": (("src/store",), False),
    "mongoc/": (("src/store/cluster",), True),
    "hiredis/": (("src/store/cluster",), False),
    "bson.h": (("src/store",), False),
    "toml++/": (("src/config", "src/app"), False),
    "CLI/": (("src/app",), False),
    "spdlog/": (("src/base",), False),
    "unicode/": (("src/mime", "src/accounts"), False),
}


def is_of_tests(path):
    return path.stem.endswith("_test") or path.stem.startswith("test_")


def order():
    """The folders in CMakeLists.txt, lowest layer first."""
    text = read("CMakeLists.txt")
    match = re.search(r"foreach\(module\s+([^)]*)\)", text)
    return match.group(1).split()


def closure(name, by_name):
    seen, todo = set(), [name]
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        todo += by_name.get(at, ("", [], []))[1]
    return seen


def main():
    found, layers, problems = modules(), order(), []
    by_name = {name: (folder, deps, test_deps) for folder, (name, deps, test_deps) in found.items()}
    for folder, (name, deps, _) in found.items():
        parent = folder.split("/")[0]
        if folder not in layers and parent not in layers:
            problems.append(f"src/{folder}: not in the list of layers in CMakeLists.txt")
            continue
        level = layers.index(folder if folder in layers else parent)
        for dep in deps:
            below = by_name.get(dep, (None,))[0]
            if below in layers and layers.index(below) >= level and below.split("/")[0] != parent:
                problems.append(f"src/{folder}: depends on {dep}, which stands above it")

    folders = sorted(found, key=len, reverse=True)
    for path in tracked("src"):
        inside = str(path.parent.relative_to("src"))
        folder = next((f for f in folders if inside == f or inside.startswith(f + "/")), None)
        if folder is None:
            problems.append(f"{path}: in no module")
            continue
        name, _, test_deps = found[folder]
        allowed = closure(name, by_name)
        if is_of_tests(path):
            for dep in test_deps:
                allowed |= closure(dep, by_name)
        for kind, header in INCLUDE.findall(read(path)):
            if kind == "<":
                check_home(path, header, problems)
                continue
            target = next((f for f in folders if header.startswith(f + "/")), None)
            if target and found[target][0] not in allowed:
                problems.append(f'{path}: includes "{header}", but {name} does not depend on {found[target][0]}')
            elif not (ROOT / "src" / header).is_file() and not (ROOT / "tests" / header).is_file():
                problems.append(f'{path}: "{header}" is no path from src/')
    finish(problems)


def check_home(path, header, problems):
    for prefix, (homes, in_headers) in HOMES.items():
        if not header.startswith(prefix):
            continue
        if is_of_tests(path):
            return
        if not any(str(path).startswith(home + "/") for home in homes):
            problems.append(f"{path}: <{header}> belongs into {', '.join(homes)}")
        elif path.suffix == ".hpp" and not in_headers:
            problems.append(f"{path}: <{header}> belongs into a .cpp")
        return


if __name__ == "__main__":
    main()
