#!/usr/bin/env python3
"""Holds the decoded records that `ottla log dump --json` prints against those of Apache's DumpLogSegments.

    same.py APACHE-OUTPUT OTTLA-OUTPUT

Types and versions are texts in the one and numbers in the other; the messages have to be the same in every field.
"""

import json
import re
import sys

RECORD = re.compile(r"^\| offset: (\d+) .*? headerKeys: \[.*?\] (?:key: (.*) )?payload: (.*)$")


def apache(path):
    """Key and value of each record, by file and offset."""
    file, found = None, {}
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if line.startswith("Dumping "):
            file = line.removeprefix("Dumping ")
        elif record := RECORD.match(line):
            offset, key, value = record.groups()
            found[file, int(offset)] = plain(key and json.loads(key)), plain(None if value == "<DELETE>" else json.loads(value))
    return found


def ottla(path):
    file, found = None, {}
    for line in map(json.loads, open(path, encoding="utf-8")):
        if line["kind"] == "file":
            file = line["path"]
        elif line["kind"] == "record" and "control" not in line:
            found[file, line["offset"]] = plain(line.get("key")), plain(line.get("value"))
    return found


def plain(told):
    return told and {name: value if name == "data" else str(value) for name, value in told.items()}


def main():
    expected, found = apache(sys.argv[1]), ottla(sys.argv[2])
    if not expected:
        sys.exit("Apache's tool told no records")
    different = [each for each in sorted(expected.keys() | found.keys()) if expected.get(each) != found.get(each)]
    for each in different[:10]:
        print(f"{each}:\n  Apache: {expected.get(each)}\n  Ottla:  {found.get(each)}")
    print(f"{len(expected)} records, {len(different)} different")
    sys.exit(bool(different))


main()
