"""What the lints share: the files of the tree, and what CMake says of the modules."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = (".cpp", ".hpp")


def tracked(*folders, suffixes=CODE):
    """The files git knows (and new ones it does not ignore) below the folders, as paths relative to the root."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    try:
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):  # an export without git
        names = [str(p.relative_to(ROOT)) for f in folders for p in (ROOT / f).rglob("*") if p.is_file()]
    return sorted(Path(n) for n in set(names) if n.endswith(suffixes) and (ROOT / n).is_file())


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def modules():
    """folder below src -> (name, DEPS, TEST_DEPS)."""
    found = {}
    for file in tracked("src", suffixes=("CMakeLists.txt",)):
        match = re.search(r"mallard_module\(([^)]*)\)", read(file))
        if not match:
            continue
        lists, current = {}, None
        for word in match.group(1).split():
            if word in ("NAME", "DEPS", "LIBS", "TEST_DEPS", "TEST_LIBS", "PCH"):
                current = lists.setdefault(word, [])
            elif current is not None:
                current.append(word)
        folder = str(file.parent.relative_to("src"))
        found[folder] = (lists["NAME"][0], lists.get("DEPS", []), lists.get("TEST_DEPS", []))
    return found


def finish(problems):
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problem(s)" if problems else "fine")
    sys.exit(1 if problems else 0)
