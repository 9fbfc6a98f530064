#!/usr/bin/env python3
"""Runs the end-to-end tests: run.py [name part ...] [--jobs N] [--rounds N] [--flips N] [--selects N] [--seed N] [--keep].

Tests are the functions test_* in the files test_*.py beside this one. The first line of a test's docstring says
what it proves. One line per test, and the last line is "N passed, N failed"; with --total-file that line goes into
the file instead, for a caller that adds up several runners.
"""
import argparse
import concurrent.futures
import faulthandler
import importlib
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import harness  # noqa: E402


# A test that takes longer hangs: then the whole run ends, with what each thread was at.
TEST_SECONDS_MAX = 900

# They take most of the time, so with several jobs they start first.
LONG = ("bitflip", "crash", "late_view", "mqtt_crash", "sql_differential")


def discover(filters):
    found = []
    for path in sorted(pathlib.Path(__file__).resolve().parent.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in vars(module).items():
            if not name.startswith("test_") or not callable(function) or function.__module__ != module.__name__:
                continue
            full = f"{path.stem.removeprefix('test_')}.{name.removeprefix('test_')}"
            if not filters or any(part in full for part in filters):
                found.append((full, function))
    return sorted(found, key=lambda test: not test[0].startswith(LONG))


def end_run(name):
    print(f"FAIL {name}: it hangs", flush=True)
    faulthandler.dump_traceback(sys.stdout)
    sys.stdout.flush()
    subprocess.run(["pkill", "-KILL", "-P", str(os.getpid())], check=False)
    os._exit(1)


def run_one(name, function, options):
    # A test's random numbers depend on its name and the seed alone, so that it replays without the others.
    test = harness.Test(name, options, random.Random(f"{options.seed}/{name}"))
    begin = time.monotonic()
    failure = None
    hangs = threading.Timer(TEST_SECONDS_MAX, end_run, (name,))
    hangs.daemon = True
    hangs.start()
    try:
        function(test)
    except BaseException:  # noqa: BLE001 - whatever a test raises is that test's failure
        failure = traceback.format_exc()
    finally:
        hangs.cancel()
    stderr = test.last_stderr() if failure else ""
    test.close(options.keep)
    lines = [f"{'FAIL' if failure else 'ok  '} {name} ({time.monotonic() - begin:.1f} s)"]
    lines += [f"     {note}" for note in test.notes]
    if failure:
        lines.append(failure)
        if stderr:
            lines.append("--- the server's last lines\n" + stderr)
        if options.keep:
            lines.append(f"--- kept: {test.folder}")
    print("\n".join(lines), flush=True)
    return failure is None


def main():
    parser = argparse.ArgumentParser(description="The end-to-end tests of Millrace.")
    parser.add_argument("filters", nargs="*", help="parts of test names, such as crash or statements.restart")
    parser.add_argument("--rounds", type=int, default=50, help="kills in each crash test")
    parser.add_argument("--flips", type=int, default=60, help="flipped bits for each kind of file")
    parser.add_argument("--selects", type=int, default=1500, help="generated SELECTs of the differential test")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--jobs", type=int, default=1, help="tests at the same time")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the tests")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--total-file", type=pathlib.Path)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    tests = discover(options.filters)
    if options.list:
        for name, function in tests:
            print(f"{name}: {(function.__doc__ or '').strip().splitlines()[0]}")
        return 0
    if not pathlib.Path(harness.binary()).exists():
        print(f"there is no {harness.binary()}: run ./dev build, or set MILLRACE_BIN", file=sys.stderr)
        return 1
    print(f"seed {options.seed}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.jobs) as pool:
        results = list(pool.map(lambda test: run_one(*test, options), tests))
    passed, failed = results.count(True), results.count(False)
    total = f"{passed} passed, {failed} failed"
    if options.total_file:
        options.total_file.write_text(total + "\n")
    else:
        print(total)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
