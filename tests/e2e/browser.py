"""A real browser: Debian's Chromium without a window, driven over its remote debugging pipe.

Messages are JSON, each ended by a NUL byte, on the browser's file descriptors 3 (to it) and 4 (from it). One page;
not for several threads at once. The profile is a folder of its own that the caller removes.
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Failure, clip, expect

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
         "--disable-default-apps", "--no-default-browser-check", "--no-proxy-server", "--window-size=1100,800",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]
ANSWER_TIME = 30.0


class Browser:
    """One page of a browser. Its host names are 127.0.0.1 and localhost: nothing else can be reached."""

    def __init__(self, profile):
        program = shutil.which("chromium")
        expect(program is not None, "chromium is not installed: run ./dev setup")
        self.number = 0
        self.rest = b""
        self.to_browser, self.from_browser, theirs_in, theirs_out = None, None, None, None
        theirs_in, self.to_browser = os.pipe()
        self.from_browser, theirs_out = os.pipe()
        # The shell puts the two ends where the browser looks for them, whatever numbers they have here. They are
        # first moved out of the way of each other.
        script = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        self.profile = pathlib.Path(profile)
        home = self.profile / "home"
        home.mkdir(parents=True)
        self.log = open(self.profile / "chromium.log", "wb")
        try:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "bash", program, *FLAGS, f"--user-data-dir={self.profile / 'data'}",
                 "--remote-debugging-pipe", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=(theirs_in, theirs_out),
                start_new_session=True, env={**os.environ, "HOME": str(home), "TMPDIR": tempfile.gettempdir()})
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        target = next(one for one in self._ask("Target.getTargets", {}, None)["targetInfos"] if one["type"] == "page")
        self.session = self._ask("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True},
                                 None)["sessionId"]

    def _read(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self.from_browser, 1 << 20) if ready else b""
            if not more:
                said = (self.profile / "chromium.log").read_text(errors="replace")[-2000:]
                raise Failure(f"the browser {'ended' if ready else 'did not answer'}; it wrote: {said}")
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def _ask(self, method, parameters, session):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_TIME
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self.number:
                expect("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]

    def ask(self, method, **parameters):
        """One method of the DevTools protocol, on the page."""
        return self._ask(method, parameters, self.session)

    def go(self, url):
        answer = self.ask("Page.navigate", url=url)
        expect(not answer.get("errorText"), f"{url}: {answer.get('errorText')}")
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", f"{url} to load")

    def run(self, script):
        """The value of an expression in the page; of a promise, what it gives."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        expect("exceptionDetails" not in answer, f"in the page: {clip(answer.get('exceptionDetails'))}")
        return answer["result"].get("value")

    def wait(self, condition, what, timeout=ANSWER_TIME):
        deadline = time.monotonic() + timeout
        while not self.run(condition):
            expect(time.monotonic() < deadline, f"the page waited {timeout} s for {what}")
            time.sleep(0.02)

    def screenshot(self):
        """A PNG of what the page shows, in base64."""
        return self.ask("Page.captureScreenshot", format="png")["data"]

    def close(self):
        """The browser with all its own processes, which are a process group of their own."""
        for end in (self.to_browser, self.from_browser):
            os.close(end)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()
