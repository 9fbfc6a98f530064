#!/usr/bin/env python3
"""Sums one ctest run: test_totals.py REPORT_FOLDER prints "N passed, N failed".

The folder holds ctest.junit and, of each GoogleTest binary, <binary>.xml with its single tests. A binary
that has such a file counts by its tests; any other ctest entry counts as one. An entry that ctest calls
failed although its tests passed (a crash, a leak found at exit, a time-out) is one failure more.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET


def gtest_counts(path):
    """(passed, failed) of one GoogleTest report; skipped and disabled tests are neither."""
    passed = failed = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
        elif case.get("status") == "run" and case.get("result") == "completed":
            passed += 1
    return passed, failed


def main():
    folder = pathlib.Path(sys.argv[1])
    junit = folder / "ctest.junit"
    if not junit.exists():
        print("0 passed, 1 failed")
        return 1
    passed = failed = 0
    for case in ET.parse(junit).getroot().iter("testcase"):
        name = case.get("name")
        ok = case.get("status") == "run"
        if case.get("status") in ("disabled", "notrun") and case.find("skipped") is not None:
            continue
        report = folder / f"{name}_test.xml"
        counts = None
        if report.exists():
            try:
                counts = gtest_counts(report)
            except ET.ParseError:
                counts = None
        if counts is None:
            passed, failed = passed + ok, failed + (not ok)
            continue
        passed, failed = passed + counts[0], failed + counts[1]
        if not ok and counts[1] == 0:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
