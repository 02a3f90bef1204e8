#!/usr/bin/env python3
"""Each folder that is a module, and each that a newcomer meets, has a README.md of at most 30 lines."""
from sources import ROOT, finish, modules

LINES_MAX = 30
OTHERS = ("bench", "fuzz", "scripts", "scripts/lint", "tests", "tests/support", "tests/corpus", "tests/transcripts")


def main():
    problems = []
    folders = [f"src/{folder}" for folder in modules()] + [f for f in OTHERS if (ROOT / f).is_dir()]
    for folder in sorted(folders):
        file = ROOT / folder / "README.md"
        if not file.is_file():
            problems.append(f"{folder}: no README.md")
        elif (lines := file.read_text().count("\n")) > LINES_MAX:
            problems.append(f"{folder}/README.md: {lines} lines, at most {LINES_MAX}")
    finish(problems)


if __name__ == "__main__":
    main()
