"""Serves chart.html, and passes the one address that the page follows on to Millrace."""
import http.client
import http.server
import pathlib
import sys

PORT, MILLRACE = (int(value) for value in (sys.argv[1:3] if len(sys.argv) > 2 else ("8000", "8080")))
CHANGES = "/v1/views/by_minute/changes"


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pathlib.Path(__file__).with_name("chart.html").read_bytes())
        elif self.path == CHANGES:
            self.pass_on()
        else:
            self.send_error(404)

    def pass_on(self):
        """Where anything fails the connection just ends, and the browser connects again by itself."""
        try:
            last = self.headers.get("Last-Event-ID")
            millrace = http.client.HTTPConnection("127.0.0.1", MILLRACE)
            millrace.request("GET", CHANGES, headers={"Last-Event-ID": last} if last else {})
            answer = millrace.getresponse()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.end_headers()
            while piece := answer.read1(65536):
                self.wfile.write(piece)
        except (OSError, http.client.HTTPException):
            pass
        self.close_connection = True

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Page).serve_forever()
