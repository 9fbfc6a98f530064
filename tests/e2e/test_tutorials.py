"""The tutorials' own commands, run as they stand there but for ports, and their pages in a browser."""
import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import time

from browser import Browser
from harness import ROOT, binary, clip, expect, expect_equal


def blocks(page):
    """The fenced blocks of a page: (language, text)."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs/tutorials" / page).read_text(), re.DOTALL | re.MULTILINE)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Terminal:
    """Runs commands in a folder with other ports than they say; what they leave running ends with close()."""

    def __init__(self, folder, ports):
        self.folder, self.ports = folder, ports
        self.environment = {**os.environ, "PATH": f"{os.path.dirname(binary())}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
        self.running = []

    def own(self, command):
        for there, ours in self.ports:
            command = command.replace(there, ours)
        return command

    def run(self, command):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self.own(command)], cwd=self.folder, env=self.environment,
                              capture_output=True, text=True, timeout=60)
        expect_equal((done.returncode, done.stderr), (0, ""), f"{command}: exit code and errors")
        return done.stdout

    def leave_running(self, command):
        words = self.own(command).strip().rstrip("&").split()
        self.running.append(subprocess.Popen(words, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL))

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()


def test_from_a_sensor_to_a_chart(test):
    """Every command of the tutorial does what it says, and its page shows the view's rows in a real browser."""
    parts = blocks("from-a-sensor-to-a-chart.md")
    commands = [text for language, text in parts if language == "sh"]
    cd, up, by_hand, bad, install, devices, ask, web = commands
    here = test.folder / "sensor-chart"
    source = ROOT / cd.removeprefix("cd ").strip()
    shutil.copytree(source, here)
    shown = {language: text for language, text in parts if language in ("sql", "python", "js")}
    expect_equal(shown["sql"], (here / "pipeline.sql").read_text(), "the statements in the tutorial")
    expect_equal(shown["python"], (here / "sensor.py").read_text(), "the device in the tutorial")
    page = re.sub(r"^  ", "", (here / "chart.html").read_text(), flags=re.MULTILINE)
    expect(shown["js"] in page, "the heart of the page in the tutorial is not that of chart.html")
    expect("pip install" in install, f"the commands of the tutorial: {commands}")

    words = up.split()
    expect_equal(words[:4], ["millrace", "up", "--data", "./sensor-data"], "how the server is started")
    server = test.server(args=[str(here / word) for word in words[4:]]).start()
    web_port = free_port()
    python = ROOT / "build/python/bin/python"
    terminal = Terminal(here, [("127.0.0.1:8080", f"127.0.0.1:{server.port}"), ("mosquitto_pub ", f"mosquitto_pub -p {server.mqtt_port} "),
                               ("venv/bin/python", str(python)), (" kitchen &", f" kitchen {server.mqtt_port} &"),
                               (" attic &", f" attic {server.mqtt_port} &"),
                               ("python3 web.py", f"{sys.executable} web.py {web_port} {server.port}")])
    try:
        answer = terminal.run(by_hand)
        expect('"bath"' in answer and "22.5" in answer, f"the reading by hand: {clip(answer)}")
        answer = terminal.run(bad)
        expect("warm" in answer and "MR20" in answer, f"the quarantine: {clip(answer)}")
        first, second = (one.strip() + " &" for one in devices.strip().rstrip("&").split("&"))
        terminal.leave_running(first)
        terminal.leave_running(second)
        deadline = time.monotonic() + 30
        while min(count_of(server, "kitchen"), count_of(server, "attic")) < 122:  # all of the past, and two more
            expect(time.monotonic() < deadline, f"the devices' readings: {server.view('by_minute')['rows'][:5]}")
            time.sleep(0.05)
        answer = terminal.run(ask)
        expect_equal(answer.count('["kitchen"'), 3, f"three minutes of the kitchen: {clip(answer)}")
        terminal.leave_running(web)
        look_at_the_page(test, server, web_port)
    finally:
        terminal.close()


def count_of(server, room):
    return server.sql_rows(f"SELECT coalesce(sum(readings), 0)::INTEGER FROM by_minute WHERE room = '{room}'")[0][0]


def look_at_the_page(test, server, port):
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        expect(time.monotonic() < deadline, "web.py does not serve")
        time.sleep(0.02)
    browser = Browser(test.folder / "browser")
    try:
        browser.go(f"http://127.0.0.1:{port}/")
        browser.wait("document.querySelectorAll('polyline.mean').length === 3 && state.textContent === 'live'", "three lines")
        expect_equal(browser.run("[...document.querySelectorAll('.room .name')].map((name) => name.textContent)"),
                     ["attic", "bath", "kitchen"], "the rooms of the page")
        drawn = browser.run("document.querySelectorAll('polyline.mean')[2].getAttribute('points').split(' ').length")
        expect(29 <= drawn <= 31, f"{drawn} minutes of the kitchen are drawn")
        # What the page knows moves on with the view.
        number = "Number(count.textContent.replace(/\\D/g, ''))"
        before = browser.run(number)
        browser.wait(f"{number} > {before} + 2", "more readings")
        # A server that goes and comes: the page says so and goes on.
        server.restart_on_the_same_port = True
        expect_equal(server.stop(), 0, "the exit code")
        browser.wait("state.textContent === 'connecting again'", "the page to tell that the server is gone")
        before = browser.run(number)
        server.start()
        browser.wait(f"state.textContent === 'live' && {number} > {before} + 2", "the page and the devices to go on")
        picture = os.environ.get("MILLRACE_SCREENSHOT")
        if picture:
            with open(picture, "wb") as file:
                file.write(base64.b64decode(browser.screenshot()))
    finally:
        browser.close()
