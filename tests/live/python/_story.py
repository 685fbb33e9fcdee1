"""Common code of the stories of sndmsg, morelia and action: a gateway, checks, and REST for what they cannot do."""

import json
import os
import subprocess
import urllib.error
import urllib.request

import _gateway
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

_gateway.ensure()
URL = os.environ["TOLMACH_URL"]
SOCKETS = URL.replace("http", "ws", 1)
PASSWORD = "correct horse"
# Seconds.
TIMEOUT = 30


def check(name, found, expected):
    """Two values are the same, the order of keys included."""
    assert json.dumps(found) == json.dumps(expected), f"{name}: {found!r} is not {expected!r}"


def step(name):
    print(f"ok  {name}", flush=True)


def enter(stack, path, headers=None, **options):
    return stack.enter_context(connect(SOCKETS + path, additional_headers=headers, **options))


def send(socket, frame):
    socket.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))


def receive(socket):
    return json.loads(socket.recv(timeout=TIMEOUT))


def closed(socket):
    """The close code of the gateway."""
    try:
        raise AssertionError(f"{socket.recv(timeout=TIMEOUT)!r} came")
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else None


def tolmach(*arguments):
    """Runs a command of the binary on the data of the running gateway."""
    subprocess.run([os.environ["TOLMACH_BIN"], *arguments], check=True, stdout=subprocess.DEVNULL)


def rest(method, path, token=None, body=None, content_type="application/json"):
    """The response of `bearer`; fails if it is a refusal."""
    headers = {"Content-Type": content_type} if body is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/api/v1{path}", content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.load(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise AssertionError(f"{method} {path}: {refusal.code} {refusal.read()!r}") from None


def form(path, token, fields):
    body = '--edge\r\nContent-Disposition: form-data; name="json"\r\n\r\n' + json.dumps(fields) + "\r\n--edge--\r\n"
    return rest("POST", path, token, body.encode(), "multipart/form-data; boundary=edge")
