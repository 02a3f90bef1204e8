#!/usr/bin/env python3
"""The folders of src/ are those that docs/architecture.md lists, and the other way round."""

import re
import sys

from sources import ROOT

listed = set(re.findall(r"^\| `(src/[\w/]+)` \|", (ROOT / "docs/architecture.md").read_text(), re.M))
built = {str(file.parent.relative_to(ROOT)) for file in (ROOT / "src").rglob("CMakeLists.txt")}
for folder in sorted(built - listed):
    print(f"docs/architecture.md: the table does not list {folder}")
for folder in sorted(listed - built):
    print(f"docs/architecture.md: {folder} is listed, but is no module")
sys.exit(1 if listed != built else 0)
