"""What a browser does with the server: EventSource, WebSocket, and pages that do not belong to it."""
import contextlib
import http.client
import json
import time

from browser import Browser
from harness import Failure, expect, expect_equal

# A page's follower of a view by EventSource, which connects again by itself, and by WebSocket, which connects again
# with the last token and acknowledges each batch. Both keep the rows as docs/how-to/follow-a-view.md says.
FOLLOW = """
window.follow = (view) => {
  const one = {
    events: {rows: new Map(), whole: false, opens: 0, starts: [], token: null},
    socket: {rows: new Map(), whole: false, opens: 0, starts: [], token: null},
  };
  const start = (side, kind) => {
    side.starts.push(kind);
    if (kind === 'reset') { side.rows.clear(); side.whole = false; }
  };
  const apply = (side, {changes, more}) => {
    for (const {key, rows} of changes) {
      if (rows.length) side.rows.set(JSON.stringify(key), rows); else side.rows.delete(JSON.stringify(key));
    }
    side.whole = !more;
  };
  one.source = new EventSource(`/v1/views/${view}/changes`);
  one.source.onopen = () => one.events.opens++;
  const stand = ({lastEventId}) => { one.events.token = lastEventId; };
  for (const kind of ['reset', 'resumed']) one.source.addEventListener(kind, () => start(one.events, kind));
  for (const kind of ['snapshot', 'changes'])
    one.source.addEventListener(kind, (event) => { apply(one.events, JSON.parse(event.data)); stand(event); });
  const connect = () => {
    const side = one.socket;
    const after = side.token ? `&after=${encodeURIComponent(side.token)}` : '';
    const socket = new WebSocket(`ws://${location.host}/v1/views/${view}/changes?window=4${after}`);
    socket.onopen = () => side.opens++;
    socket.onmessage = ({data}) => {
      const message = JSON.parse(data);
      if (message.type === 'reset' || message.type === 'resumed') start(side, message.type);
      if (message.changes) {
        apply(side, message);
        socket.send(JSON.stringify({ack: message.seq}));
      }
      if (message.token) side.token = message.token;
    };
    socket.onclose = () => setTimeout(connect, 100);
  };
  connect();
  return one;
};
window.rowsOf = (side) => side.whole ? {rows: [...side.rows.values()].flat(), token: side.token} : null;
"""


@contextlib.contextmanager
def browser_of(test):
    browser = Browser(test.folder / "browser")
    try:
        yield browser
    finally:
        browser.close()


def newest_token(server, view):
    """Where a follower stands who has been told of everything."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", f"/v1/views/{view}/changes?snapshot=false")
    with connection.getresponse() as answer:
        for line in answer:
            if line.startswith(b"id: "):
                connection.close()
                return line[4:].strip().decode()
    raise Failure(f"{view}: no position")


def wait_for_rows(browser, side, wanted, what):
    deadline = time.monotonic() + 20
    while True:
        has = browser.run(f"rowsOf(followed.{side})")
        if has is not None and (sorted(has["rows"]), has["token"]) == wanted:
            return
        if time.monotonic() > deadline:
            expect_equal(has and (sorted(has["rows"]), has["token"]), wanted, f"the rows of {side}, and their position, {what}")
        time.sleep(0.02)


def test_a_page_follows_a_view_over_restart_and_kill(test):
    """EventSource and WebSocket of a real browser end with the view's rows, whatever happened to the server."""
    server = test.server(config={"lake": {"commit_interval_ms": 200}, "batch": {"interval_ms": 1000}}).start()
    server.sql("CREATE STREAM clicks (page VARCHAR, n BIGINT) WITH (key = page, partitions = 2)")
    server.sql("CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS clicks, sum(n) AS total FROM clicks"
               " GROUP BY page HAVING sum(n) % 3 <> 0")
    number = 0

    def post(requests):
        nonlocal number
        for _ in range(requests):
            server.post("clicks", [{"page": f"p\u00e9 {(number + i) % 37}", "n": (number + i) % 11} for i in range(20)])
            number += 20

    def check(browser, what):
        wanted = (sorted(server.get("/v1/views/pages").ok()["rows"]), newest_token(server, "pages"))
        for side in ("events", "socket"):
            wait_for_rows(browser, side, wanted, what)

    post(3)
    with browser_of(test) as browser:
        browser.go(f"{server.url}/healthz")  # any page of the server's own origin
        browser.run(FOLLOW + "window.followed = follow('pages'); 0")
        check(browser, "at first")
        post(50)
        check(browser, "while events come")
        server.restart_on_the_same_port = True
        expect_equal(server.stop(), 0, "the exit code")
        server.start()
        check(browser, "after a restart")
        post(20)
        check(browser, "with events after a restart")
        server.kill()
        server.start()
        post(20)
        check(browser, "after kill -9")
        seen = {side: browser.run(f"({{opens: followed.{side}.opens, starts: followed.{side}.starts}})")
                for side in ("events", "socket")}
        for side, one in seen.items():
            expect_equal(one["opens"], 3, f"how often {side} connected")
            expect_equal((one["starts"][0], len(one["starts"])), ("reset", 3), f"how {side} began each time")
        # Nothing changed over the orderly restart, so that the browser's Last-Event-ID was still good.
        expect_equal(seen["events"]["starts"][1], "resumed", "how EventSource went on after a restart")
        test.note(f"EventSource began with {seen['events']['starts']}, WebSocket with {seen['socket']['starts']}")


def test_a_page_follows_the_events_of_a_stream(test):
    """EventSource on a stream's events sees each once, also over a restart of the server."""
    server = test.server(config={"lake": {"commit_interval_ms": 100}}).start()
    server.sql("CREATE STREAM numbers (n BIGINT)")
    server.post("numbers", [{"n": n} for n in range(100)])
    with browser_of(test) as browser:
        browser.go(f"{server.url}/healthz")
        browser.run("""window.seen = [];
          window.source = new EventSource('/v1/streams/numbers/events?follow=true');
          source.onmessage = (event) => seen.push(JSON.parse(event.data).event.n); 0""")
        browser.wait("seen.length >= 100", "the first events")
        server.restart_on_the_same_port = True
        expect_equal(server.stop(), 0, "the exit code")
        server.start()
        server.post("numbers", [{"n": n} for n in range(100, 300)])
        browser.wait("seen.length >= 300", "the events after the restart")
        expect_equal(json.loads(browser.run("JSON.stringify(seen)")), list(range(300)), "the events")


def test_pages_of_other_origins_get_nothing(test):
    """A page of another site that the user looks at can neither read, follow nor change anything."""
    server = test.server().start()
    server.sql("CREATE STREAM secrets (word VARCHAR)")
    server.sql("CREATE MATERIALIZED VIEW words AS SELECT word, count(*) AS n FROM secrets GROUP BY word")
    server.post("secrets", [{"word": "hidden"}])
    other = f"http://localhost:{server.port}"  # another origin than 127.0.0.1, of the same server
    with browser_of(test) as browser:
        browser.go(f"{other}/healthz")
        browser.run(f"window.base = '{server.url}'; 0")
        read = browser.run("""Promise.all(['/v1/views/words', '/v1/streams', '/metrics', '/healthz'].map((path) =>
          fetch(base + path).then((answer) => answer.text(), (error) => 'refused')))""")
        expect_equal(read, ["refused"] * 4, "what a page of another origin may read")
        followed = browser.run("""new Promise((done) => {
          const source = new EventSource(base + '/v1/views/words/changes');
          source.addEventListener('snapshot', (event) => done(event.data));
          source.onerror = () => { source.close(); done('refused'); };
        })""")
        expect_equal(followed, "refused", "EventSource of another origin")
        socket = browser.run("""new Promise((done) => {
          const socket = new WebSocket(base.replace('http', 'ws') + '/v1/views/words/changes');
          socket.onmessage = (event) => done(event.data);
          socket.onerror = () => done('refused');
        })""")
        expect_equal(socket, "refused", "WebSocket of another origin")
        # A page may send what a form could send without asking first; it does not see the answer.
        browser.run("""(async () => {
          const statement = JSON.stringify({sql: 'DROP STREAM secrets CASCADE'});
          const create = JSON.stringify({sql: 'CREATE STREAM planted (a BIGINT)'});
          const event = JSON.stringify({word: 'planted'});
          const posts = [['/v1/sql', statement], ['/v1/sql', create], ['/v1/streams/secrets/events', event],
                         ['/v1/batch', '{}'], ['/v1/streams/secrets/quarantine/replay', '']];
          for (const [path, text] of posts) {
            for (const type of [null, 'text/plain', 'application/x-www-form-urlencoded']) {
              // A Blob without a type is sent without Content-Type.
              const body = type ? text : new Blob([text]);
              const headers = type ? {'Content-Type': type} : {};
              await fetch(base + path, {method: 'POST', mode: 'no-cors', headers, body}).catch(() => 0);
            }
          }
          for (const type of ['application/json', 'text/csv'])
            await fetch(base + '/v1/sql', {method: 'POST', headers: {'Content-Type': type}, body: create}).catch(() => 0);
          return 0;
        })()""")
        names = [stream["name"] for stream in server.get("/v1/streams").ok()["streams"]]
        expect_equal(sorted(name for name in names if "__" not in name), ["secrets"], "the streams")
        expect_equal(server.get("/v1/views/words").ok()["rows"], [["hidden", 1]], "the view's rows")
        expect_equal(server.batch_state()["last"], [], "batch runs that a page of another origin started")
