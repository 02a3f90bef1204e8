#!/usr/bin/env python3
"""Files have at most 1,000 lines, functions at most 70. What is allowed to be longer stands in lengths_allowed.txt, each
with its reason: `path function: reason` or `path: reason`. An entry that is not needed any more is a mistake as well."""
import re
from pathlib import Path

from sources import finish, read, tracked

FILE_MAX = 1000
FUNCTION_MAX = 70
SCOPE = re.compile(r"^\s*(inline\s+)?(namespace\b|class\b|struct\b|union\b|enum\b|extern\s+\"C\"\s*\{)|^\s*template\b.*\b(class|struct)\s+\w+[^()]*\{$")


def allowed():
    out = {}
    for line in (Path(__file__).parent / "lengths_allowed.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            what, _, reason = line.partition(": ")
            out[what.strip()] = reason.strip()
    return out


def functions(text):
    """(name, first line, lines) of each function body: relies on the form that clang-format gives."""
    lines = text.splitlines()
    stack = []  # (indent, is scope, first line, name)
    for number, line in enumerate(lines):
        code = re.sub(r"\s*//.*$", "", line).rstrip()
        indent = len(line) - len(line.lstrip())
        if code.lstrip().startswith("}") and stack and stack[-1][0] == indent:
            _, scope, first, name = stack.pop()
            if not scope and name and all(entry[1] for entry in stack):
                yield name, first + 1, number - first + 1
        if not code.endswith("{"):
            continue
        first = number
        while first > 0 and not re.search(r"[;{}]\s*(//.*)?$|^\s*$|^\s*(//|#|public:|private:|protected:)", lines[first - 1]):
            first -= 1
        signature = " ".join(part.strip() for part in lines[first : number + 1])
        own_indent = len(lines[first]) - len(lines[first].lstrip())
        match = re.search(r"([~\w:]+(?:\(\))?)\s*\(", signature)
        is_scope = bool(SCOPE.match(lines[first])) or bool(SCOPE.match(code))
        test = re.match(r"(TEST|TEST_F|TEST_P)\(([^)]*)\)", signature)
        name = f"{test.group(2)}".replace(", ", ".") if test else (match.group(1) if match else "")
        stack.append((min(indent, own_indent) if not is_scope else indent, is_scope, first, name))


def main():
    problems, excuses, used = [], allowed(), set()
    for path in tracked("src", "tests", "bench", "fuzz"):
        text = read(path)
        count = text.count("\n")
        if count > FILE_MAX:
            used.add(str(path))
            if str(path) not in excuses:
                problems.append(f"{path}: {count} lines, at most {FILE_MAX}")
        for name, line, length in functions(text):
            key = f"{path} {name}"
            if length > FUNCTION_MAX:
                used.add(key)
                if key not in excuses:
                    problems.append(f"{path}:{line}: {name} has {length} lines, at most {FUNCTION_MAX}")
    for key, reason in excuses.items():
        if not reason:
            problems.append(f"lengths_allowed.txt: {key}: no reason given")
        elif key not in used:
            problems.append(f"lengths_allowed.txt: {key}: not needed any more")
    finish(problems)


if __name__ == "__main__":
    main()
