"""A chat server on the loopback interface, whose model is state feedback of the double integrator."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from control_envs import format_completion
from control_envs.text import format_controls

STATE = re.compile(r"position=(-?[\d.]+), velocity=(-?[\d.]+)")
DT = 0.1


def feedback(text, count):
    """Controls of state feedback from the state that a text states."""
    x1, x2 = map(float, STATE.search(text).groups())
    controls = []
    for _ in range(count):
        u = round(min(max(-5.9 * x1 - 6.8 * x2, -3.0), 3.0), 2)
        x1, x2 = x1 + DT * x2 + DT**2 / 2 * u, x2 + DT * u
        controls.append(u)
    return controls


def reply(request):
    """What state feedback says, by one text or by calls of ten controls; its first call is one control too long."""
    *_, last = request["messages"]
    calls = sum(message["role"] == "tool" for message in request["messages"])
    content = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
    if not request.get("tools"):
        plan = [[u] for u in feedback(content, 50)]
        return {"role": "assistant", "content": format_completion(plan, format_controls(plan[:1]))}
    if content.endswith("; 0 controls left"):
        return {"role": "assistant", "content": "done"}
    controls = feedback(content, 10) if STATE.search(content) else feedback(request["messages"][0]["content"], 10)
    function = {"name": "play", "arguments": json.dumps({"controls": controls if calls else [0.0] * 51})}
    return {"role": "assistant", "tool_calls": [{"id": f"call{calls}", "type": "function", "function": function}]}


class Chat(BaseHTTPRequestHandler):
    """The part of OpenAI's interface that a chat needs, in one piece or streamed."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = reply(request)
        stop = "tool_calls" if "tool_calls" in message else "stop"
        common = {"id": "1", "created": 0, "model": request["model"]}
        if request.get("stream"):
            calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls", []))]
            delta = message | ({"tool_calls": calls} if calls else {})
            parts = [{"delta": delta, "finish_reason": None}, {"delta": {}, "finish_reason": stop}]
            chunks = [{**common, "object": "chat.completion.chunk", "choices": [{"index": 0, **p}]} for p in parts]
            body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        else:
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choice = {"index": 0, "message": message, "finish_reason": stop}
            body = json.dumps({**common, "object": "chat.completion", "choices": [choice], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if request.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
