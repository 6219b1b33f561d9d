"""An OpenAI-compatible server that answers well or fails as it is told, and logs every prompt that it answers.

python tests/agent/faulty_server.py [FAULTS as JSON]
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "<REASONING>stub</REASONING><CONTROLS>{}</CONTROLS>"


class Server(ThreadingHTTPServer):
    """Faults are taken from ``faults`` one a request; without any left, requests are answered.

    Attributes:
        answered: the prompts answered so far.
        requests: the bodies of all chat requests.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, faults=(), numbers=50, model="stub", delay=0.0, context=None, thoughts=""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.numbers, self.model, self.delay = list(faults), numbers, model, delay
        self.context, self.thoughts = context, thoughts
        self.answered, self.requests, self.keys = [], [], set()
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # a client that gave up


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/v1/models":
            return self._send(404, {"detail": "Not Found"})
        return self._send(200, {"object": "list", "data": [{"id": self.server.model, "object": "model"}]})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        with server.lock:
            server.requests.append(body)
            server.keys.add(self.headers.get("Authorization"))
            fault = server.faults.pop(0) if server.faults else None
        time.sleep(server.delay)
        if self.path != "/v1/chat/completions":
            return self._send(404, {"detail": "Not Found"})
        if body["model"] != server.model:
            return self._error(404, f"The model `{body['model']}` does not exist.")
        if server.context and body.get("max_tokens", 0) > server.context:
            return self._error(400, f"This model's maximum context length is {server.context} tokens.", "max_tokens")
        if fault in ("max_tokens", "temperature", "seed") and fault in body:
            server.faults.insert(0, fault)
            hint = "Use 'max_completion_tokens' instead." if fault == "max_tokens" else ""
            return self._error(400, f"Unsupported parameter: '{fault}' is not supported. {hint}", fault)
        if fault in (400, 401, 429, 500, 503):
            return self._error(fault, "told to fail", headers={"Retry-After": "0.01"} if fault == 429 else {})
        if fault == "slow":
            time.sleep(3)
        if fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
            return None
        if fault == "truncated json":
            return self._send(200, b'{"choices": [')
        if fault == "html":
            return self._send(200, b"<html>hello</html>", "text/html")
        answer = ANSWER.format(", ".join(["0.10"] * server.numbers))
        message, reason = {"role": "assistant", "content": answer}, "stop"
        if server.thoughts:
            message["reasoning_content"] = server.thoughts
        if fault == "length":
            message["content"], reason = answer[:40], "length"
        if fault == "refusal":
            message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
        if fault == "empty content":
            message["content"] = None
        with server.lock:
            server.answered.append(prompt)
        if body.get("stream"):
            return self._stream(answer)
        choices = [] if fault == "empty choices" else [{"index": 0, "message": message, "finish_reason": reason}]
        return self._send(
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": "another" if fault == "another model" else server.model,
                "choices": choices,
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            },
        )

    def _stream(self, answer):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for start in range(0, len(answer), 40):
            delta = {"index": 0, "delta": {"content": answer[start : start + 40]}, "finish_reason": None}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "stub", "choices": [delta]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _error(self, status, message, param=None, headers=()):
        error = {"message": message, "type": "invalid", "param": param, "code": None}
        self._send(status, {"error": error}, headers=dict(headers))

    def _send(self, status, body, kind="application/json", headers=()):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    with Server(**json.loads(sys.argv[1] if sys.argv[1:] else "{}")) as server:
        print(server.url, flush=True)
        threading.Event().wait()
