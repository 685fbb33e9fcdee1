#!/usr/bin/env python3
"""Every method of `morelia`, by a client that shares no code with the gateway. Starts a gateway."""

import json
from contextlib import ExitStack

from _story import PASSWORD, TIMEOUT, check, closed, enter, receive, send, step

NAMES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
FILES = {"picture": "UElDVFVSRQ==", "video": "dg==", "audio": "YQ==", "document": "ZA=="}


class Client:
    """A connection of `morelia`, with frames of one kind."""

    def __init__(self, stack, path="/morelia", binary=False):
        self.socket, self.binary = enter(stack, path), binary
        self.ids, self.user = set(), None

    def exchange(self, request):
        text = json.dumps(request)
        self.socket.send(text.encode() if self.binary else text)
        frame = self.socket.recv(timeout=TIMEOUT)
        check("the kind of frame", isinstance(frame, bytes), self.binary)
        return self.reply(json.loads(frame))

    def reply(self, reply):
        check("the keys", list(reply), ["type", "data", "errors", "jsonapi", "meta"])
        check("the keys of errors", list(reply["errors"]), ["id", "time", "status", "code", "detail"])
        check("jsonapi and meta", [reply["jsonapi"], reply["meta"]], [{"version": 1.0}, None])
        errors = reply["errors"]
        assert isinstance(errors["id"], int) and errors["id"] not in self.ids, errors
        assert isinstance(errors["time"], float), errors
        self.ids.add(errors["id"])
        return reply

    def request(self, method, user=None, **data):
        """The data of a granted request."""
        request = {"type": method, "data": {**data, "user": user or self.user, "meta": None}, "jsonapi": {"version": 1.0}, "meta": None}
        reply = self.exchange(request)
        errors = reply["errors"]
        found = [reply["type"], errors["status"], errors["code"], errors["detail"]]
        check(f"{method} {data}", found, [method, "OK", 200, "successfully"])
        return reply["data"]

    def refused(self, code, detail, method, user=None, **data):
        reply = self.exchange({"type": method, "data": {**data, "user": user or self.user, "meta": None}, "jsonapi": {"version": 1.0}, "meta": None})
        self.is_refusal(reply, code, detail, method)

    def is_refusal(self, reply, code, detail, kind):
        errors = reply["errors"]
        check(f"{kind}: {errors}", [reply["type"], reply["data"], errors["code"], errors["status"]], [kind, None, code, NAMES[code]])
        assert errors["detail"].startswith(detail), errors

    def granted(self, method, **user):
        data = self.request(method, user=user)
        check(method, list(data), ["time", "user", "meta"])
        check(method, list(data["user"]), ["id", "auth_id"])
        assert isinstance(data["user"]["id"], int) and isinstance(data["user"]["auth_id"], str), data
        self.user = data["user"]


def listed(data, key):
    """One item stands by itself, several in a list, none not at all."""
    found = data.get(key, [])
    return found if isinstance(found, list) else [found]


def accounts(stack):
    ann, bob, carl = Client(stack), Client(stack, binary=True), Client(stack, path="/ws")
    ann.granted("register_user", login="ann", password=PASSWORD, username="Ann", email="ann@example.org", bio="My bio", avatar="YXZh")
    bob.granted("register_user", login="bob", password=PASSWORD)
    carl.granted("register_user", login="carl", password=PASSWORD, username="Carl", is_bot=True)
    step("register_user, in text and binary frames")
    stranger = Client(stack)
    stranger.refused(409, "", "register_user", user={"login": "ANN", "password": "x"})
    stranger.refused(409, "", "register_user", user={"login": "ann2", "password": "x", "email": "ann@example.org"})
    stranger.refused(400, "/data/user", "register_user", user={"login": "dan"})
    step("register_user 409 and 400")
    first = ann.user
    for method in ["auth", "authentication"]:
        ann.granted(method, login="Ann", password=PASSWORD, username="Ann")
        check("the same user", ann.user["id"], first["id"])
        assert ann.user["auth_id"] != first["auth_id"], "each login gives another one"
    ann.granted("auth", login="ann@example.org", password=PASSWORD)
    step("auth and authentication")
    for login in ["ann", "nobody"]:
        stranger.refused(401, "wrong login or password", "auth", user={"login": login, "password": "x"})
    step("auth 401")
    whole = {"id": first["id"], "login": "ann", "username": "Ann", "is_bot": False}
    check("user_info", (data := ann.request("user_info", user=first)) | {"time": 0}, {
        "time": 0, "user": {**whole, "auth_id": first["auth_id"], "email": "ann@example.org", "avatar": "YXZh", "bio": "My bio"}, "meta": None,
    })  # fmt: skip
    assert isinstance(data["time"], float), data
    check("nothing of what is not there", sorted(bob.request("user_info")["user"]), ["auth_id", "bio", "id", "is_bot", "login", "username"])
    check("a bot", carl.request("user_info")["user"]["is_bot"], True)
    step("user_info")
    ann.refused(401, "", "user_info", user={"id": bob.user["id"], "auth_id": ann.user["auth_id"]})
    ann.refused(401, "", "user_info", user={"id": ann.user["id"], "auth_id": "no token"})
    ann.refused(400, '/data/user: "auth_id" is a required property', "all_flow", user={"id": ann.user["id"]})
    step("user_info 401, all_flow 400")
    check("no flows", list(ann.request("all_flow")), ["time", "user", "meta"])
    step("all_flow of nothing")
    return ann, bob, carl


def flows(stack, ann, bob):
    """The document has no method that opens a flow, so another dialect does."""
    other = enter(stack, "/sndmsg")
    send(other, {"type": "REQUEST_LOGIN", "login": "bob", "pass": PASSWORD})
    check("sndmsg", receive(other)["status"], "LOGIN_OK")
    send(other, {"type": "CREATE_ROOM", "username": "bob", "customer": "ann"})
    flow = receive(other)["id"]
    data = ann.request("all_flow")
    check("one flow", list(data), ["time", "flow", "user", "meta"])
    check("the flow", data["flow"] | {"time": 0}, {"id": flow, "time": 0, "type": "chat", "title": "bob", "info": ""})
    check("the user", data["user"], ann.user)
    check("the other one's title", bob.request("all_flow")["flow"]["title"], "Ann")
    send(other, {"type": "CREATE_ROOM", "username": "bob", "customer": "carl"})
    second = receive(other)["id"]
    check("several", sorted(row["id"] for row in bob.request("all_flow")["flow"]), sorted([flow, second]))
    step("all_flow of one and of several")
    return flow


def messages(ann, bob, carl, flow):
    start = ann.request("user_info")["time"]
    sent = {"id": 858585, "text": "Hello", "time": 1.5, "from_user": {"id": ann.user["id"], "username": "Ann"}, "from_flow": {"id": flow, "type": "chat"},
            "file": FILES, "emoji": "ZW1vamk="}  # fmt: skip
    request = {"flow": {"id": flow, "time": 1.5, "type": "chat"}, "message": sent, "edited_message": {"time": 1.5, "status": True}, "reply_to": None}
    reply = ann.request("send_message", **request)
    check("send_message", list(reply), ["time", "meta"])
    ann.request("send_message", **request)
    step("send_message, and once more for nothing")
    data = bob.request("all_messages", time=start)
    check("one message", list(data), ["time", "message", "user", "meta"])
    check("who asked", data["user"], bob.user)
    first = data["message"]
    assert first["id"] != sent["id"] and isinstance(first["time"], float), first
    from_ann, from_flow = {"id": ann.user["id"], "username": "Ann"}, {"id": flow, "type": "chat"}
    check("the message", first, {
        "id": first["id"], "text": "Hello", "from_user": from_ann, "time": first["time"], "from_flow": from_flow,
        "file": FILES, "emoji": "ZW1vamk=", "reply_to": None,
    })  # fmt: skip
    step("all_messages of one")
    bob.request("send_message", message={"id": 1, "text": "Hi", "time": 2.5, "from_flow": from_flow, "reply_to": first["id"]})
    [_, second] = ann.request("all_messages", time=start)["message"]
    check("an answer", [second["text"], second["reply_to"], second["from_user"]["username"]], ["Hi", first["id"], "bob"])
    check("nothing of what is not there", list(second), ["id", "text", "from_user", "time", "from_flow", "reply_to"])
    ann.request("send_message", flow={"id": flow}, message={"id": 2, "text": "To go", "time": 3.5})
    third = ann.request("all_messages", time=start)["message"][2]
    step("all_messages of several")

    here = {"flow": {"id": flow}}
    ann.refused(400, "/data", "send_message", message={"id": 3, "text": "nowhere", "time": 1.5})
    ann.refused(403, "", "send_message", **here, message={"id": 4, "text": "x", "time": 1.5, "from_user": {"id": bob.user["id"], "username": "bob"}})
    for stranger, number in [(carl, flow), (ann, 404404)]:
        stranger.refused(404, "no such flow", "send_message", flow={"id": number}, message={"id": 5, "text": "x", "time": 1.5})
        stranger.refused(404, "no such flow", "get_update", flow={"id": number}, time=start)
    step("send_message and get_update 400, 403, 404")

    before = ann.request("get_update", time=start, **here)["time"]
    check("edited_message", ann.request("edited_message", **here, message={"id": first["id"], "text": "Hello!", "time": 4.5}), None)
    check("without a flow", ann.request("edited_message", message={"id": first["id"], "text": "Hello!!", "time": 4.5}), None)
    bob.refused(403, "", "edited_message", **here, message={"id": first["id"], "text": "Mine", "time": 1.5})
    bob.refused(404, "", "edited_message", **here, message={"id": 404404, "text": "x", "time": 1.5})
    step("edited_message, 403, 404")
    bob.refused(403, "", "delete_message", **here, message={"id": third["id"], "time": 1.5})
    check("delete_message", ann.request("delete_message", **here, message={"id": third["id"], "time": 1.5}), None)
    ann.refused(404, "", "delete_message", **here, message={"id": 404404, "time": 1.5})
    step("delete_message, 403, 404")

    data = ann.request("get_update", time=before, **here)
    check("what changed", [row["id"] for row in listed(data, "message")], [first["id"], third["id"]])
    [edited, deleted] = data["message"]
    check("an edit", [edited["text"], edited["edited_message"]["status"], edited["file"]], ["Hello!!", True, FILES])
    assert isinstance(deleted["edited_message"].pop("time"), float), deleted
    check("a deletion", deleted, {
        "id": third["id"], "text": "", "from_user": from_ann, "time": third["time"], "from_flow": from_flow,
        "edited_message": {"status": True}, "reply_to": None,
    })  # fmt: skip
    again = ann.request("get_update", time=data["time"], **here)
    check("nothing changed since", listed(again, "message"), [])
    data = ann.request("get_update", time=start - 3600)
    check("everything", list(data), ["time", "flow", "message", "user", "meta"])
    check("the flow", [data["flow"]["id"], data["flow"]["title"]], [flow, "bob"])
    check("the record", [data["user"]["login"], "password" in data["user"]], ["ann", False])
    check("the messages", [row["id"] for row in data["message"]], [row["id"] for row in ann.request("all_messages", time=start - 3600)["message"]])
    step("get_update")


def removal(ann, bob, carl):
    carl.refused(401, "", "delete_user", user={"login": "ann", "password": "x"})
    data = carl.request("delete_user", user={"login": "ann", "password": PASSWORD, "username": "Ann"})
    check("delete_user", data, {"user": {"id": ann.user["id"], "login": "ann"}, "meta": None})
    ann.refused(401, "", "user_info")
    ann.refused(401, "wrong login or password", "auth", user={"login": "ann", "password": PASSWORD})
    kept = listed(bob.request("all_messages", time=0.5), "message")
    check("the messages stay", [row["text"] for row in kept if row["from_user"]["username"] == "Ann" and row["text"]], ["Hello!!"])
    step("delete_user")


def faults(stack):
    client = Client(stack)
    user = {"id": 1, "auth_id": "x"}
    cases = [
        ("fly", {"type": "fly", "data": {"user": user}, "jsonapi": {"version": 1.0}}, ""),
        ("error", {"data": {}, "jsonapi": {"version": 1.0}}, ""),
        ("error", [], ""),
        ("all_flow", {"type": "all_flow", "data": {"user": user}, "jsonapi": {"version": 2.0}}, ""),
        ("all_flow", {"type": "all_flow"}, ""),
        ("all_messages", {"type": "all_messages", "data": {"time": "now", "user": user}}, "/data/time: "),
    ]
    for kind, frame, detail in cases:
        client.is_refusal(client.exchange(frame), 400, detail, kind)
    for version in [{"version": "1.0"}, {"version": None}, {}, None]:
        client.is_refusal(client.exchange({"type": "all_flow", "data": {"user": user}, "jsonapi": version}), 401, "", "all_flow")
    for _ in range(10):
        send(client.socket, "invalid")
    for _ in range(10):
        client.is_refusal(client.reply(receive(client.socket)), 400, "", "error")
    check("enough of it", closed(client.socket), 1008)
    step("faults")


def main():
    with ExitStack() as stack:
        ann, bob, carl = accounts(stack)
        flow = flows(stack, ann, bob)
        messages(ann, bob, carl, flow)
        removal(ann, bob, carl)
        faults(stack)
    print("every method of morelia was answered as documented")


if __name__ == "__main__":
    main()
