#!/usr/bin/env python3
"""References to RFCs are written `RFC <number>` or `RFC <number> §<section>`, with numbers that rfcs.txt knows, and
docs/standards.md is made from them: `rfcs.py --write` makes it anew."""
import re
import sys
from collections import defaultdict
from pathlib import Path

from sources import ROOT, finish, read, tracked

REFERENCE = re.compile(r"\bRFC ([1-9]\d{1,4})((?:,? (?:and )?§[A-Z0-9][0-9.]*)*)")
SECTION = re.compile(r"§([A-Z0-9][0-9.]*)")
MISTAKE = re.compile(r"\bRFC-?\d+|\brfc \d+|\bRFC  +\d+|\bRFC 0\d*|\bRFC \d+,? (?:[Ss]ection|[Ss]ec\.?) [\d.]*")
PAGE = ROOT / "docs" / "standards.md"


def titles():
    out = {}
    for line in (Path(__file__).parent / "rfcs.txt").read_text().splitlines():
        number, _, title = line.partition(" ")
        if number.isdigit():
            out[int(number)] = title
    return out


def collect(problems):
    """number -> module -> sections"""
    used = defaultdict(lambda: defaultdict(set))
    known = titles()
    for path in tracked("src"):
        for number, line in enumerate(read(path).splitlines(), 1):
            comment = line.partition("//")[2]
            for mistake in MISTAKE.findall(comment):
                if mistake != "RFC822":  # the word of IMAP and MIME
                    problems.append(f"{path}:{number}: write `RFC <number> §<section>`: {mistake}")
            for rfc, sections in REFERENCE.findall(line):
                if int(rfc) not in known:
                    problems.append(f"{path}:{number}: RFC {rfc} is not in scripts/lint/rfcs.txt")
                used[int(rfc)][str(path.parent.relative_to("src"))].update(s.rstrip(".") for s in SECTION.findall(sections))
    return used


def natural(section):
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in section.split(".")]


def page(used):
    known = titles()
    lines = ["# Standards", "", "Which module obeys which section: made from the comments by `scripts/lint/rfcs.py --write`.", "",
             "| RFC | title | where |", "| --- | --- | --- |"]
    for rfc in sorted(used):
        places = []
        for module in sorted(used[rfc]):
            sections = ", ".join("§" + s for s in sorted(used[rfc][module], key=natural))
            places.append(f"{module} {sections}".strip())
        lines.append(f"| [{rfc}](https://www.rfc-editor.org/rfc/rfc{rfc}) | {known.get(rfc, '')} | {'; '.join(places)} |")
    return "\n".join(lines) + "\n"


def main():
    problems = []
    text = page(collect(problems))
    if "--write" in sys.argv:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text)
    elif not PAGE.is_file() or PAGE.read_text() != text:
        problems.append("docs/standards.md is not what the comments say: run scripts/lint/rfcs.py --write")
    finish(problems)


if __name__ == "__main__":
    main()
