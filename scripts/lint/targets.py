#!/usr/bin/env python3
"""No .cpp without a target: each is in compile_commands.json of the build that runs the tests. targets.py BUILD-FOLDER"""
import json
import sys
from pathlib import Path

from sources import ROOT, finish, tracked


def main():
    commands = json.loads((Path(sys.argv[1]) / "compile_commands.json").read_text())
    compiled = {str(Path(entry["directory"], entry["file"]).resolve()) for entry in commands}
    finish([f"{path}: belongs to no target" for path in tracked("src", "tests", "bench", "fuzz", suffixes=(".cpp",))
            if str((ROOT / path).resolve()) not in compiled])


if __name__ == "__main__":
    main()
