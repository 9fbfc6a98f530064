#!/usr/bin/env python3
"""Holds the shape of the tree: check_tree.py [--write]; run by ./dev check.

Compares every include under src/ with the layers of src/modules.txt, the absences that ARCHITECTURE.md
states, the error ids of src/base/error.h with docs/reference/errors.md, and the layers and the code map in
ARCHITECTURE.md with src/modules.txt. --write puts the layers into ARCHITECTURE.md.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
LAYERS_BEGIN, LAYERS_END = "<!-- layers: begin (./dev check --write) -->", "<!-- layers: end -->"

# What only some modules may include, as (what it is, pattern, modules that may).
ONLY_IN = [
    ("DuckDB", r"^duckdb", {"sql"}),
    ("SQLite", r"^sqlite3", {"catalog"}),
    ("Asio", r"^boost/asio", {"runtime", "endpoint", "client"}),
    ("Beast", r"^boost/beast", {"runtime", "endpoint", "client"}),
    ("YAML", r"^yaml-cpp/", {"server"}),
    ("FlatBuffers", r"^flatbuffers/|_generated\.h$", {"op"}),
    ("the command line parser", r"^CLI/", {"cli"}),
    ("the line editor", r"^(histedit\.h|editline/)", {"cli"}),
]
# What some modules may not include at all: pure code has no file, socket, clock or thread.
FILES = r"^(fstream|filesystem|fcntl\.h|sys/(stat|mman|uio|file)\.h|dirent\.h|unistd\.h)$"
SOCKETS = r"^(sys/socket\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h|sys/epoll\.h)$"
CLOCK_AND_RANDOM = r"^(ctime|time\.h|sys/time\.h|random|sys/random\.h)$"
THREADS = r"^(thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|pthread\.h|base/mutex\.h)$"
NEVER_IN = [
    ("view", "a file", FILES), ("view", "a socket", SOCKETS),
    ("view", "a clock or randomness", CLOCK_AND_RANDOM), ("view", "threads", THREADS),
    ("wire", "a file", FILES), ("wire", "a socket", SOCKETS),
    ("format", "a file", FILES), ("format", "a socket", SOCKETS),
    ("base", "a file", FILES), ("model", "a file", FILES),
]
CLOCK_CALL = re.compile(r"\b(system_clock|steady_clock|high_resolution_clock)::now\(|\bclock_gettime\(|\bgettimeofday\(")
CLOCK_MODULES_BANNED = {"view", "wire", "format", "base", "model"}


def read_layers():
    """{module: layer index} and the layer lines, lowest first."""
    lines = [line.split("#")[0].split() for line in (SRC / "modules.txt").read_text().splitlines()]
    lines = [line for line in lines if line]
    return {module: i for i, line in enumerate(lines) for module in line}, lines


def source_files():
    return sorted(path for path in SRC.rglob("*") if path.suffix in (".h", ".cc") and path.is_file())


def find_tests():
    """The files that are no part of the product: *_test.cc and its kin, and headers that only these include."""
    tests = {path for path in source_files() if re.search(r"_(test|fuzz|bench)\.cc$", path.name)}
    includes = {path: {name for _, name in INCLUDE.findall(path.read_text())} for path in source_files()}
    while True:
        product = set().union(*(names for path, names in includes.items() if path not in tests))
        tested = set().union(*(names for path, names in includes.items() if path in tests))
        more = {path for path in includes if path.suffix == ".h" and path not in tests
                and str(path.relative_to(SRC)) in tested - product and not path.with_suffix(".cc").exists()}
        if not more:
            return tests
        tests |= more


def check_includes(layers, problems):
    tests = find_tests()
    for path in source_files():
        where = path.relative_to(ROOT)
        module = path.relative_to(SRC).parts[0]
        if module not in layers:
            problems.append(f"{where}: src/modules.txt does not name the module {module}")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            quote, name = match.groups()
            line = text.count("\n", 0, match.start(1)) + 1
            at = f"{where}:{line}"
            first = name.split("/")[0]
            if quote == '"' and "/" not in name and not name.startswith("duckdb"):
                problems.append(f'{at}: "{name}": includes start at src, as in "log/commit_log.h"')
            if first in layers and "/" in name and (SRC / name).exists():
                if first != module and layers[first] >= layers[module]:
                    problems.append(f"{at}: {module} includes {first}, which is not below it in src/modules.txt")
            elif quote == '"' and first in layers:
                problems.append(f"{at}: {name} is not in src/")
            for what, pattern, modules in ONLY_IN:
                if re.search(pattern, name) and module not in modules and path not in tests:
                    problems.append(f"{at}: only {', '.join(sorted(modules))} may include {what} ({name})")
            for banned, what, pattern in NEVER_IN:
                if module == banned and re.search(pattern, name) and path not in tests:
                    problems.append(f"{at}: {module} has no {what.removeprefix('a ')} ({name})")
        if module in CLOCK_MODULES_BANNED and path not in tests:
            for match in CLOCK_CALL.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{where}:{line}: {module} does not look at a clock")


def check_error_ids(problems):
    declared = re.findall(r'k\w+ = "(MR\d{4})"', (SRC / "base/error.h").read_text())
    for identity in {i for i in declared if declared.count(i) > 1}:
        problems.append(f"src/base/error.h: {identity} is declared twice")
    page = ROOT / "docs/reference/errors.md"
    text = page.read_text() if page.exists() else ""
    described = re.findall(r"^\| (MR\d{4}) \|", text, re.MULTILINE)
    for identity in sorted(set(declared) - set(described)):
        problems.append(f"docs/reference/errors.md: {identity} of src/base/error.h has no line")
    for identity in sorted(set(described) - set(declared)):
        problems.append(f"docs/reference/errors.md: {identity} is not in src/base/error.h")
    for identity in {i for i in described if described.count(i) > 1}:
        problems.append(f"docs/reference/errors.md: {identity} has two lines")


def layers_text(lines):
    return "\n".join([LAYERS_BEGIN, "```", *(" ".join(line) for line in lines), "```", LAYERS_END])


def check_architecture(lines, layers, problems, write):
    page = ROOT / "ARCHITECTURE.md"
    text = page.read_text() if page.exists() else ""
    found = re.search(re.escape(LAYERS_BEGIN) + ".*?" + re.escape(LAYERS_END), text, re.DOTALL)
    if not found:
        problems.append("ARCHITECTURE.md: the layers of src/modules.txt are missing")
        return
    if found.group(0) != layers_text(lines):
        if write:
            page.write_text(text[:found.start()] + layers_text(lines) + text[found.end():])
        else:
            problems.append("ARCHITECTURE.md: the layers differ from src/modules.txt: run ./dev check --write")
    mapped = re.findall(r"^\| `src/(\w+)` \|", text, re.MULTILINE)
    for module in layers:
        if module not in mapped and (SRC / module).exists():
            problems.append(f"ARCHITECTURE.md: the code map does not name src/{module}")
    for module in mapped:
        if module not in layers:
            problems.append(f"ARCHITECTURE.md: the code map names src/{module}, src/modules.txt does not")


def main():
    problems = []
    layers, lines = read_layers()
    check_includes(layers, problems)
    check_error_ids(problems)
    check_architecture(lines, layers, problems, "--write" in sys.argv[1:])
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
