"""One flipped bit in a stored file is found and reported, or does not matter: never a silently wrong answer."""
import collections
import json
import shutil
import time

from harness import ApiError, NoAnswer, Server, StartFailed, clip, expect, expect_equal

CONFIG = {
    "log": {"segment_bytes": 65536},
    "lake": {"commit_rows": 1_000_000, "commit_interval_ms": 3_600_000},
    "batch": {"interval_ms": 3_600_000},
}
EAGER = {**CONFIG, "lake": {"commit_rows": 100, "commit_interval_ms": 20}, "speed": {"checkpoint_rows": 1}}

QUESTIONS = {
    "by_word": ("GET", "/v1/views/by_word?limit=1000"),
    "by_day": ("GET", "/v1/views/by_day?limit=1000"),
    "stream": ("SQL", "SELECT count(*), sum(id), sum(amount), min(word), max(ts) FROM events"),
    "groups": ("SQL", "SELECT word, count(*), sum(id) FROM events GROUP BY word"),
}


def events(begin, end):
    return [{"id": i, "ts": f"2026-01-{1 + i % 9:02}T00:00:00", "word": f"w{i % 7}", "amount": i / 8} for i in range(begin, end)]


def build(test):
    """A stopped data folder with a log tail, lake files, generations and checkpoints."""
    server = test.server("original", EAGER)
    server.start()
    server.sql("CREATE STREAM events (id BIGINT, ts TIMESTAMP, word VARCHAR, amount DOUBLE) WITH (time = ts, key = word)")
    server.sql("CREATE MATERIALIZED VIEW by_word AS SELECT word, count(*) AS n, sum(id) AS ids, sum(amount) AS total, max(ts) AS last"
               " FROM events GROUP BY word")
    server.sql("CREATE MATERIALIZED VIEW by_day AS SELECT date_trunc('day', ts) AS day, count(*) AS n, min(id) AS low, avg(amount) AS mean"
               " FROM events WHERE id % 5 <> 0 GROUP BY day")

    def settled(commits):
        deadline = time.monotonic() + 20.0
        while kinds(server.data)["lake"] < commits:
            expect(time.monotonic() < deadline, f"no lake commit came: {dict(kinds(server.data))}")
            time.sleep(0.02)

    server.post("events", events(0, 400))
    settled(1)
    server.run_batch()
    server.post("events", events(400, 700))
    settled(2)
    deadline = time.monotonic() + 20.0
    while not kinds(server.data)["checkpoint"]:
        expect(time.monotonic() < deadline, f"no checkpoint came: {dict(kinds(server.data))}")
        time.sleep(0.02)
    time.sleep(0.2)
    server.stop()
    # From here on nothing goes to the lake, so that a log tail stays.
    server.config = CONFIG
    server.start()
    server.post("events", events(700, 1000))
    server.stop()
    return server.data


def kind_of(path):
    """log, lake, generation, checkpoint, catalog: by folder, by name in states/, by name in the data folder itself."""
    for kind in ("generation", "checkpoint"):
        if kind in path.name:
            return kind
    return path.parts[0] if len(path.parts) > 1 else path.name.split(".")[0]


def kinds(data):
    out = collections.Counter()
    for path in data.rglob("*"):
        if path.is_file():
            out[kind_of(path.relative_to(data))] += 1
    return out


def ask(server, how, what):
    """("rows", rows), ("error", text) or ("broken", text); a view that is built anew is waited for."""
    deadline = time.monotonic() + 30.0
    while True:
        try:
            return ("rows", answer_rows(server.get(what).ok() if how == "GET" else server.sql(what)))
        except ApiError as error:
            if error.code != "MR1303" or time.monotonic() > deadline:
                return ("error", error.response.text())
            time.sleep(0.02)
        except NoAnswer as error:
            return ("broken", str(error))


def answer_rows(answer):
    return sorted((json.dumps(row) for row in answer["rows"]))


def check_one(server, name, expected, outcomes):
    """Start, ask, recompute, ask again: each answer is right, or an error that names the file."""
    try:
        server.start(timeout=30.0)
    except StartFailed as failed:
        expect(failed.exit_code not in (None, 0) and failed.exit_code > 0,
               f"{name}: the start ended with {failed.exit_code}: {failed.stderr[-2000:]}")
        expect_names(failed.stderr, name)
        outcomes["refused to start"] += 1
        return
    reported = False
    for run in ("as it is", "after a recomputation"):
        for question, (how, what) in QUESTIONS.items():
            kind, answer = ask(server, how, what)
            if kind == "rows":
                expect(answer == expected[question],
                       f"{name}: {question} {run} gives a wrong answer: {clip(answer)} instead of {clip(expected[question])}")
            else:
                expect(kind == "error", f"{name}: {question}: {answer}\n{server.stderr()[-2000:]}")
                expect_names(answer, name)
                reported = True
        if run == "as it is":
            server.run_batch(full=True)
    log_text = server.stderr()
    reported = reported or name.rsplit("/", 1)[-1] in log_text
    outcomes["reported" if reported else "made no difference"] += 1
    expect(server.alive(), f"{name}: the server died: {log_text[-2000:]}")


def expect_names(text, name):
    lower = text.lower()
    expect("checksum" in lower or "data_loss" in lower or "mr4003" in lower or "damaged" in lower or "mr4008" in lower,
           f"{name}: the error does not say what is wrong: {clip(text, 1500)}")
    expect(name.rsplit("/", 1)[-1] in text, f"the error does not name {name}: {clip(text, 1500)}")


def flip(data, path, rng):
    """Flips one bit; four times of five in a byte that is not zero, since a log segment is mostly zeros."""
    content = bytearray((data / path).read_bytes())
    positions = [i for i, byte in enumerate(content) if byte] if rng.random() < 0.8 else []
    at = rng.choice(positions) if positions else rng.randrange(len(content))
    content[at] ^= 1 << rng.randrange(8)
    (data / path).write_bytes(content)
    return at


def test_no_flipped_bit_gives_a_wrong_answer(test):
    """Log, lake, generations, checkpoints, catalog: one random bit at a time."""
    original = build(test)
    server = Server(test.folder / "original", CONFIG)
    test.servers.append(server)
    server.start()
    expected = {}
    for question, (how, what) in QUESTIONS.items():
        kind, answer = ask(server, how, what)
        expect(kind == "rows", f"{question} on the undamaged folder: {answer}")
        expected[question] = answer
    expect_equal(json.loads(expected["stream"][0])[:2], [1000, 499500], "count and sum of the undamaged stream")
    server.stop()

    by_kind = collections.defaultdict(list)
    for path in sorted(original.rglob("*")):
        if path.is_file() and path.stat().st_size > 0 and path.name != "lock":
            by_kind[kind_of(path.relative_to(original))].append(path.relative_to(original))
    test.note("files: " + ", ".join(f"{kind} {len(paths)}" for kind, paths in by_kind.items()))
    for kind in ("log", "lake", "generation", "checkpoint", "catalog"):
        expect(by_kind.get(kind), f"the folder has no {kind}: {sorted(by_kind)}")

    for kind, paths in sorted(by_kind.items()):
        outcomes = collections.Counter()
        for number in range(test.options.flips):
            copy = test.folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(original, copy)
            path = test.rng.choice(paths)
            at = flip(copy, path, test.rng)
            damaged = Server(copy, CONFIG)
            try:
                check_one(damaged, str(path), expected, outcomes)
            except AssertionError as error:
                raise AssertionError(f"bit flip {number} of kind {kind}, byte {at} of {path}: {error}") from error
            finally:
                damaged.kill()
                for leftover in test.folder.glob("copy-*"):
                    leftover.unlink()
        test.note(f"{kind}: " + ", ".join(f"{count} {what}" for what, count in sorted(outcomes.items())))
        expect(outcomes["refused to start"] + outcomes["reported"] > 0, f"no flip in {kind} was noticed: {dict(outcomes)}")
