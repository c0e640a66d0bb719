"""Serve images locally through the OpenAI images API and ComfyUI, with faults on demand."""

import base64
import io
import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image


def png(seed, size=16):
    buffer = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


class Service:
    """The server's record, and its planned faults: ``faults`` is a list of answers, used one per request."""

    def __init__(self):
        self.faults, self.requests, self.charged, self.headers = [], [], Counter(), []
        self.lock = threading.Lock()
        self.prompts = {}
        self.before_answer = lambda: None
        self.write = lambda content: ""  # the text of chat/completions
        self.draw = lambda prompt, seed: png(seed)  # the bytes of an image

    def next_fault(self):
        with self.lock:
            return self.faults.pop(0) if self.faults else None


@contextmanager
def serving():
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, body, headers=()):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with service.lock:
                service.requests.append((self.path, content))
                service.headers.append(dict(self.headers))
            fault = service.next_fault()
            if callable(fault):
                fault(self)
            elif fault is not None:
                status, body, *headers = fault
                self.answer(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
            elif self.path == "/v1/images/generations":
                self.generations(content)
            elif self.path == "/v1/chat/completions":
                service.before_answer()
                message = {"role": "assistant", "content": service.write(content)}
                answer = {"model": f"{content['model']}-2026", "choices": [{"message": message}]}
                self.answer(200, json.dumps(answer | {"system_fingerprint": "fp_1"}).encode())
            elif self.path == "/prompt":
                number = f"job-{len(service.requests)}"
                service.prompts[number] = content["prompt"]
                self.answer(200, json.dumps({"prompt_id": number}).encode())
            else:
                self.answer(404, b"{}")

        def generations(self, content):
            key = self.headers["Idempotency-Key"]
            with service.lock:
                service.charged[key] = 1  # a repeated key is not charged again
            service.before_answer()
            image = base64.b64encode(service.draw(content["prompt"], content.get("seed", len(key)))).decode()
            self.answer(200, json.dumps({"data": [{"b64_json": image}]}).encode())

        def do_GET(self):
            parts = urlsplit(self.path)
            if parts.path.startswith("/history/"):
                number = parts.path.rpartition("/")[2]
                outputs = {"9": {"images": [{"filename": f"{number}.png", "subfolder": "", "type": "output"}]}}
                self.answer(200, json.dumps({number: {"outputs": outputs}}).encode())
            elif parts.path == "/view":
                number = parse_qs(parts.query)["filename"][0].removesuffix(".png")
                self.answer(200, service.draw("", service.prompts[number]["3"]["inputs"]["seed"]))
            else:
                self.answer(404, b"")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
