#!/usr/bin/env python3
"""Checks the documentation; run by ./dev docs.

Every relative link in a *.md of the repository leads to a file (and, with #, to a heading of it), every
`./dev x` is a command of ./dev, every `millrace x` is one that docs/reference/cli.md describes, the tables of
config.md and metrics.md in docs/reference/ have what the sources have, and a decision record has at most 40 lines.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")


def pages():
    """The tracked and the new *.md files, or, outside a git checkout, all that are not built or installed."""
    try:
        out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout
        return [ROOT / line for line in out.splitlines() if (ROOT / line).exists()]
    except (OSError, subprocess.CalledProcessError):
        return [p for p in ROOT.rglob("*.md") if not {"build", "node_modules"} & set(p.parts)]


def without_code(text):
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(path):
    """The names that a heading gets on the usual Markdown sites."""
    out = set()
    for line in without_code(path.read_text()).splitlines():
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            out.add(words.replace(" ", "-"))
    return out


def main():
    problems = []
    dev = (ROOT / "dev").read_text()
    dev_commands = set(re.findall(r"^cmd_(\w+)\(\)", dev, re.MULTILINE))
    cli = ROOT / "docs/reference/cli.md"
    cli_commands = set(re.findall(r"^### `millrace ([a-z-]+)", cli.read_text(), re.MULTILINE)) if cli.exists() else set()
    for page in pages():
        text = page.read_text()
        where = page.relative_to(ROOT)
        for target in LINK.findall(without_code(text)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            linked = (page.parent / name).resolve() if name else page
            if not linked.exists():
                problems.append(f"{where}: the link {target} leads nowhere")
            elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
                problems.append(f"{where}: {target}: there is no such heading")
        for command in re.findall(r"\./dev ([a-z]+)", text):
            if command not in dev_commands:
                problems.append(f"{where}: ./dev {command} is not a command of ./dev")
        for command in re.findall(r"(?:`|^|\$ |release/)millrace ([a-z]+)\b", text, re.MULTILINE):
            if command not in cli_commands:
                problems.append(f"{where}: millrace {command} is not described in docs/reference/cli.md")
        if page.parent.name == "decisions" and text.count("\n") > 40:
            problems.append(f"{where}: a decision record has at most 40 lines")
    source, table = ROOT / "src/server/config.cc", ROOT / "docs/reference/config.md"
    if source.exists():
        keys = set(re.findall(r'\{"([a-z]+\.[a-z_]+)",\s+&Config::', source.read_text()))
        described = set(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", table.read_text(), re.MULTILINE))
        for key in sorted(keys ^ described):
            where = "docs/reference/config.md lacks" if key in keys else "src/server/config.cc lacks"
            problems.append(f"{where} the key {key}")
    source, table = ROOT / "src/endpoint/operation_routes.cc", ROOT / "docs/reference/metrics.md"
    if source.exists():
        names = set(re.findall(r'"(millrace_\w+)"', source.read_text()))
        described = set(re.findall(r"^\| `(millrace_\w+)` \|", table.read_text(), re.MULTILINE))
        for name in sorted(names ^ described):
            where = "docs/reference/metrics.md lacks" if name in names else "src/endpoint/operation_routes.cc lacks"
            problems.append(f"{where} the metric {name}")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
