#!/usr/bin/env python3
"""Every operation of both dialects, by a client that shares no code with the gateway. Starts a gateway."""

import glob
import json
import os
import re
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

import _gateway
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

_gateway.ensure()
URL = os.environ["TOLMACH_URL"]
SOCKETS = URL.replace("http", "ws", 1)
MAIL = os.path.join(os.environ["TOLMACH_DATA"], "mail")
PASSWORD = "correct horse"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)
# Seconds.
TIMEOUT = 30


def check(name, found, expected):
    assert found == expected, f"{name}: {found!r} is not {expected!r}"


def receive(socket):
    return json.loads(socket.recv(timeout=TIMEOUT))


def closed(socket):
    """The close code of the gateway."""
    try:
        raise AssertionError(f"{socket.recv(timeout=TIMEOUT)!r} came")
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else None


class Mode:
    """A connection of `mode`."""

    def __init__(self, stack, path="/mode", **login):
        self.socket = stack.enter_context(connect(SOCKETS + path))
        self.token = None
        if login:
            self.token = self.request(200, **login)["token"]

    def request(self, status, mode, **fields):
        token = {"token": self.token} if self.token else {}
        self.socket.send(json.dumps({"mode": mode, "timestamp": time.time(), **token, **fields}))
        reply = receive(self.socket)
        check(f"{mode} {fields}", (reply["mode"], reply["status"]), (mode, status))
        check(f"the error of {mode}", "error_msg" in reply, status >= 400)
        return reply

    def pushed(self):
        push = receive(self.socket)
        [message] = push["messages"]
        return push["chat_id"], message["from_name"], message["content"]


def http(method, path, body=None, content_type=None, token=None):
    """The status and the body of a response; JSON is read."""
    headers = {"Content-Type": content_type} if content_type else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(URL + path, body, headers, method=method)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as refusal:
        response = refusal
    with response:
        content = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(content) if is_json else content


class Bearer:
    """A user of `bearer`."""

    def __init__(self, pair):
        self.access, self.refresh = pair["access_token"], pair["refresh_token"]

    def request(self, status, method, path, body=None):
        content = None if body is None else json.dumps(body).encode()
        content_type = None if body is None else "application/json"
        found, reply = http(method, "/api/v1" + path, content, content_type, self.access)
        check(f"{method} {path}: {reply!r}", found, status)
        check(f"the error of {method} {path}", isinstance(reply, dict) and set(reply) == {"error"}, status >= 400)
        return reply

    def form(self, status, path, fields, photo=None):
        parts = [b'--edge\r\nContent-Disposition: form-data; name="json"\r\n\r\n' + json.dumps(fields).encode() + b"\r\n"]
        if photo is not None:
            parts.append(b'--edge\r\nContent-Disposition: form-data; name="photo"; filename="p.png"\r\n\r\n' + photo + b"\r\n")
        body = b"".join(parts) + b"--edge--\r\n"
        found, reply = http("POST", "/api/v1" + path, body, "multipart/form-data; boundary=edge", self.access)
        check(f"POST {path}: {reply!r}", found, status)
        return reply

    def enter(self, stack, path):
        return stack.enter_context(connect(f"{SOCKETS}/api/v1{path}", additional_headers={"Authorization": f"Bearer {self.access}"}))


def post(path, body):
    return http("POST", "/api/v1" + path, json.dumps(body).encode(), "application/json")


def granted(path, body):
    status, pair = post(path, body)
    check(f"{path} {pair}", status, 200)
    return Bearer(pair)


def accounts_of_mode(stack):
    ann = Mode(stack, mode="register", username="ann", password=PASSWORD, email="ann@example.org")
    check("no chats yet", ann.request(200, "getChats")["chats"], [])
    stranger = Mode(stack)
    check("taken", stranger.request(409, "register", username="ANN", password="x", email=None)["token"], None)
    check("wrong", stranger.request(401, "auth", username="ann", password="x")["token"], None)
    stranger.request(422, "register", username="carl", password="x")
    stranger.request(501, "fly")
    stranger.request(422, "getChats")
    return ann


def accounts_of_bearer():
    account = {"email": "bob@example.org", "number": "+100", "password": PASSWORD, "username": "bob"}
    bob = granted("/register", account)
    check("taken", post("/register", account)[0], 409)
    check("wrong", post("/login", {"username": "bob", "password": "x"})[0], 401)
    bob.request(404, "GET", "/user")
    profile = {"username": "bob", "name": "Bob Bee", "description": "about Bob"}
    check("a profile", bob.form(200, "/user", profile, PICTURE), {"status": "ok"})
    bob.form(400, "/user", profile)
    me = bob.request(200, "GET", "/user")
    check("the profile", me, {"id": me["id"], **profile})
    check("by id", bob.request(200, "GET", f"/user/{me['id']}"), me)
    check("the photo", bob.request(200, "GET", f"/user/{me['id']}/photo"), PICTURE)
    bob.request(404, "GET", "/user/999999")
    bob.request(400, "GET", "/user/nobody")
    for token in [None, "x.y.z"]:
        check("no token", http("GET", "/api/v1/user", token=token)[0], 401)
    bob.id = me["id"]
    return bob


def conversation(stack, ann, bob):
    """Ann uses mode and bob uses bearer. Ann logs in to bearer with the same password."""
    ann_elsewhere = granted("/login", {"email": "ann@example.org", "password": PASSWORD})
    ann_id = ann_elsewhere.request(200, "GET", "/user")["id"]
    main = bob.enter(stack, "/main")
    chat = bob.request(200, "POST", f"/chat/{ann_id}")["chat"]["id"]
    check("the same chat", bob.request(200, "POST", f"/chat/{ann_id}"), {"status": "ok", "chat": {"id": chat}})
    bob.request(400, "POST", "/chat/999999")
    info = bob.request(200, "GET", f"/chat/{chat}/info")
    check("about the chat", (info["id"], info["name"], info["type"], len(info["users"])), (chat, "ann", "private", 2))
    bob.request(404, "GET", "/chat/999999/info")

    room = bob.enter(stack, f"/chat/{chat}")
    check("an empty history", receive(room), {"type": "history", "messages": [], "error": "no messages"})
    ann.request(200, "sendMessage", chat_id=chat, content="from mode", content_type="text")
    message = receive(room)
    check("bearer receives from mode", (message["type"], message["text"], message["author"]["name"]), ("message", "from mode", "ann"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", message["time"]), message
    check("and on the main connection", receive(main), message | {"type": "last_message"})
    room.send(json.dumps({"type": "message", "text": "from bearer", "author": {"id": 1, "name": "x"}}))
    check("its own comes back", receive(room)["author"], {"id": bob.id, "name": "Bob Bee"})
    check("mode receives from bearer", ann.pushed(), (chat, "bob", "from bearer"))
    check("the main connection too", receive(main)["text"], "from bearer")

    other = ann_elsewhere.enter(stack, f"/chat/{chat}?limit=1")
    check("a page of history", [m["text"] for m in receive(other)["messages"]], ["from bearer"])
    older = ann_elsewhere.enter(stack, f"/chat/{chat}?limit=5&offset=1")
    check("an older page", [m["text"] for m in receive(older)["messages"]], ["from mode"])
    for kind in ["typing", "stop_typing"]:
        room.send(json.dumps({"type": kind}))
        check("typing", receive(other), {"type": kind, "author": {"id": bob.id, "name": "Bob Bee"}})
    room.send("invalid")
    check("a bad frame", receive(room)["type"], "error")

    rows = ann.request(200, "getMessages", chat_id=chat)["messages"]
    check("mode's history", [(row["from_name"], row["content"]) for row in rows], [("ann", "from mode"), ("bob", "from bearer")])
    [row] = ann.request(200, "getChats")["chats"]
    check("mode's chats", row, {"chat_id": chat, "chat_name": "bob", "chat_type": "personal"})
    ann.request(400, "sendGroupMessage", chat_id=chat, content="x", content_type="text")
    ann.request(404, "getMessages", chat_id=999999)
    browser = stack.enter_context(connect(f"{SOCKETS}/api/v1/main", subprotocols=["bearer", bob.access]))
    check("a browser's handshake", (browser.subprotocol, receive(browser)["text"]), ("bearer", "from bearer"))
    return ann_elsewhere, ann_id


def groups(stack, ann, bob, ann_elsewhere, ann_id):
    users = [{"id": ann_id, "name": "ann"}]
    made = bob.form(200, "/group", {"name": "Friends", "description": "all of us", "users": users}, PICTURE)
    group = made["group"]["id"]
    check("a group", made, {"status": "ok", "group": {"id": group, "name": "Friends"}})
    bob.form(400, "/group", {"description": "without a name"})
    path = f"/group/{group}"
    check("about it", ann_elsewhere.request(200, "GET", path + "/info"), {"id": group, "name": "Friends", "description": "all of us"})
    check("its photo", ann_elsewhere.request(200, "GET", path + "/photo"), PICTURE)
    members = ann_elsewhere.request(200, "GET", path + "/users")["users"]
    check("its members", sorted(member["id"] for member in members), sorted([ann_id, bob.id]))

    room = ann_elsewhere.enter(stack, path)
    receive(room)
    ann.request(200, "sendGroupMessage", chat_id=group, content="to all", content_type="text")
    check("the group receives it", receive(room)["text"], "to all")
    rooms = bob.request(200, "GET", "/chats?limit=1&offset=0")["rooms"]
    check("the newest chat", [(row["id"], row["type"], row["last_message"]["text"]) for row in rooms], [(group, "group", "to all")])
    bob.request(400, "GET", "/chats?limit=-1")

    ann_elsewhere.request(403, "DELETE", path + "/delete", {"users": [{"id": bob.id}]})
    bob.request(409, "POST", path + "/add", {"users": users})
    bob.request(200, "DELETE", path + "/delete", {"users": users})
    check("a removed member is closed", closed(room), 1008)
    bob.request(409, "DELETE", path + "/delete", {"users": users})
    ann_elsewhere.request(404, "GET", path + "/info")
    ann.request(404, "getMessages", chat_id=group)
    bob.request(200, "POST", path + "/add", {"users": users})
    room = ann_elsewhere.enter(stack, path)
    receive(room)
    ann_elsewhere.request(403, "DELETE", path)
    check("deleted", bob.request(200, "DELETE", path), {"status": "ok"})
    check("its rooms are closed", closed(room), 1008)
    bob.request(404, "DELETE", path)
    try:
        bob.enter(stack, path)
        raise AssertionError("a deleted room accepts a connection")
    except InvalidStatus as refusal:
        check("no such room", refusal.response.status_code, 404)


def tokens(bob):
    status, pair = post("/refresh", {"refresh_token": bob.refresh})
    check("refreshed", status, 200)
    fresh = Bearer(pair)
    fresh.request(200, "GET", "/user")
    check("a refresh token works once", post("/refresh", {"refresh_token": bob.refresh})[0], 401)
    fresh.request(401, "GET", "/user")
    again = granted("/login", {"username": "bob", "password": PASSWORD})
    check("logged out", again.request(200, "POST", "/logout"), {"logout": "success"})
    again.request(401, "GET", "/user")


def recovery(stack, ann):
    ann.request(202, "recovery", username="ann", known_data="nobody", known_data_type="username")
    ann.request(202, "recovery", username="ann", known_data="ann@example.org", known_data_type="email")
    deadline = time.monotonic() + TIMEOUT
    while not (mails := glob.glob(os.path.join(MAIL, "*"))):
        assert time.monotonic() < deadline, "no mail came"
        time.sleep(0.02)
    with open(mails[0]) as mail:
        token = re.search(r"/recover\?token=(\w+)", mail.read()).group(1)
    check("the page", http("GET", f"/recover?token={token}")[0], 200)
    form = f"token={token}&password=next&repeat=next".encode()
    check("a new password", http("POST", "/recover", form, "application/x-www-form-urlencoded")[0], 200)
    check("a link works once", http("POST", "/recover", form, "application/x-www-form-urlencoded")[0], 410)
    ann.request(401, "getChats")
    ann.token = None
    ann.request(401, "auth", username="ann", password=PASSWORD)
    ann.token = ann.request(200, "auth", username="ann", password="next")["token"]
    ann.request(401, "logout", username="bob")
    ann.request(200, "logout", username="ann")
    ann.request(401, "getChats")
    Mode(stack, path="/", mode="auth", username="ann", password="next")


def pages():
    for path, status in [("/healthz", 200), ("/readyz", 200), ("/metrics", 404), ("/openapi.json", 200), ("/nowhere", 404)]:
        check(path, http("GET", path)[0], status)


def main():
    with ExitStack() as stack:
        pages()
        ann = accounts_of_mode(stack)
        bob = accounts_of_bearer()
        ann_elsewhere, ann_id = conversation(stack, ann, bob)
        groups(stack, ann, bob, ann_elsewhere, ann_id)
        recovery(stack, ann)
        tokens(bob)
    print("every operation was answered as documented")


if __name__ == "__main__":
    main()
