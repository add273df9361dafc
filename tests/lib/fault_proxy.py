#!/usr/bin/env python3
"""An HTTP proxy that loses things: fault_proxy.py LISTEN_PORT UPSTREAM_PORT [EVERY]

Every EVERY-th request meets a fault, each kind in turn: 500, 503, a connection that is cut before or after the request was carried out, an
answer that is cut short, an answer that never comes. EVERY 0: none.

Signatures (AWS version 4) are verified here, with AWS_SECRET_ACCESS_KEY: s3rver takes any."""
import hashlib
import hmac
import http.client
import http.server
import itertools
import os
import socketserver
import sys
import threading
import time

LISTEN, UPSTREAM, EVERY = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5
KINDS = ["500", "cut before", "503", "short", "cut after", "stall"]
STALL_S = 4
count = itertools.count(1)
faults = itertools.count()
lock = threading.Lock()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_fits(method, target, headers, body):
    """Calculated again from what came."""
    try:
        scheme, rest = headers["Authorization"].split(" ", 1)
        fields = dict(f.strip().split("=", 1) for f in rest.split(","))
        scope = fields["Credential"].split("/", 1)[1]
        date, region, service, _ = scope.split("/")
        path, _, query = target.partition("?")
        pairs = sorted(tuple((p + "=").split("=")[:2]) for p in query.split("&") if p)
        names = fields["SignedHeaders"].split(";")
        payload = headers["x-amz-content-sha256"]
        canonical = "\n".join(
            [method, path, "&".join(f"{k}={v}" for k, v in pairs)]
            + [f"{n}:{' '.join(headers[n].split())}" for n in names]
            + ["", fields["SignedHeaders"], payload]
        )
        text = "\n".join([scheme, headers["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
        for part in (date, region, service, "aws4_request"):
            key = mac(key, part)
        return "host" in names and payload == hashlib.sha256(body).hexdigest() and hmac.compare_digest(mac(key, text).hex(), fields["Signature"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def next_fault(self):
        with lock:
            if EVERY and next(count) % EVERY == 0:
                return KINDS[next(faults) % len(KINDS)]
        return None

    def give(self, status, headers, body, cut=False):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "keep-alive"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()

    def forward(self, body):
        up = http.client.HTTPConnection("127.0.0.1", UPSTREAM, timeout=60)
        up.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                up.putheader(name, value)
        up.endheaders(body or None)
        answer = up.getresponse()
        data = answer.read()
        up.close()
        return answer.status, answer.getheaders(), data

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not signature_fits(self.command, self.path, self.headers, body):
            return self.give(403, [("Content-Type", "application/xml")], b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        fault = self.next_fault()
        if fault in ("500", "503"):
            return self.give(int(fault), [("Content-Type", "application/xml")], b"<Error><Code>InternalError</Code></Error>")
        if fault == "cut before":
            self.close_connection = True
            return None
        if fault == "stall":
            time.sleep(STALL_S)
            self.close_connection = True
            return None
        status, headers, data = self.forward(body)
        if fault == "cut after":
            self.close_connection = True
            return None
        if fault == "short" and len(data) > 1:
            self.give(status, headers, data, cut=True)
            self.close_connection = True
            return None
        return self.give(status, headers, data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True


Server(("127.0.0.1", LISTEN), Handler).serve_forever()
