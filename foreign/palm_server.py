"""A palm server that shares no code with the project: the vendor's wire format, written from its description.

A palm is the text behind `PALM:` in an image's tEXt chunk. The same palm matches itself.
"""

import email.parser
import email.policy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

THRESHOLDS = [0.5, 0.5, 0.5, 0.5]


class PalmServer:
    def __init__(self):
        self.templates = {}  # (user_id, type) -> (palm, id)
        self.calls = []
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"palms": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def query(self, meta, palm):
        results = [
            {"user_id": user, "id": number, "query_type": kind, "scores": [0.9, 0.91, 0.92, 0.93]}
            for (user, kind), (known, number) in self.templates.items()
            if known == palm and kind == meta["type"]
        ]
        return {"code": 0, "msg": "Success", "data": {"results": results, "thresholds": THRESHOLDS}}

    def add(self, meta, palm):
        key = (meta["user_id"], meta["type"])
        if key in self.templates:
            return {"code": 30005, "msg": "DB register name duplicated"}
        if any(known == palm for known, _ in self.templates.values()):
            return {"code": 30007, "msg": "DB ID already registered"}
        number = 100001 + len(self.templates)
        self.templates[key] = (palm, number)
        return {
            "code": 0,
            "msg": "Success",
            "data": {"user_id": key[0], "id": number, "query_type": key[1]},
        }

    def delete(self, meta):
        doomed = [
            key
            for key in self.templates
            if key[0] == meta["user_id"] and meta["type"] in ("all", key[1])
        ]
        for key in doomed:
            del self.templates[key]
        return {"code": 0, "msg": "Success", "data": {"deleted": len(doomed)}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        parts = self._parts()
        meta = json.loads(parts["metadata"][1])
        with self.palms.lock:
            self.palms.calls.append((self.path, self.headers["request_id"], parts))
            if self.path == "/KZ/delete":
                answer = self.palms.delete(meta)
            else:
                palm = parts["image_rgb"][1].partition(b"PALM:")[2].partition(b";")[0]
                answer = {"/KZ/query": self.palms.query, "/KZ/add": self.palms.add}[self.path](meta, palm)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _parts(self):
        """The multipart body as {name: (file name, bytes)}."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            raw = b""
            while size := int(self.rfile.readline(), 16):
                raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw)
        return {
            part.get_param("name", header="content-disposition"): (
                part.get_filename(),
                part.get_payload(decode=True),
            )
            for part in message.iter_parts()
        }

    def log_message(self, *_):
        pass
