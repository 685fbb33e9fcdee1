#!/usr/bin/env python3
"""Every action at both endpoints of `action`, by a client that shares no code with the gateway. Starts a gateway."""

import itertools
import re
from contextlib import ExitStack

from _story import PASSWORD, URL, check, closed, enter, form, receive, rest, send, step, tolmach
from websockets.exceptions import InvalidStatus

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
REQUESTS = itertools.count(1500000)
KEYS = ["errors", "data", "action", "response_status", "request_id"]
OUTSIDE = "Action not allowed. You are not in the room!"
NO_BUSINESS = "Action not allowed. You cannot write to a chat that does not have brand with business subscription!"
NOT_A_MEMBER = "You cannot enter a room you are not a member of"


class Account:
    """An account with a profile and a token, as `bearer` gives it."""

    def __init__(self, name, phone=None):
        fullname = name.capitalize() if phone else name
        if phone:
            account = {"username": name, "password": PASSWORD, "email": f"{name}@example.org", "number": phone}
            self.token = rest("POST", "/register", body=account)["access_token"]
            form("/user", self.token, {"username": name, "name": name.capitalize(), "description": ""})
        else:
            self.token = rest("POST", "/login", body={"username": name, "password": PASSWORD})["access_token"]
        self.id = rest("GET", "/user", self.token)["id"]
        self.user = {"id": self.id, "email": f"{name}@example.org", "phone": phone}
        self.participant = {"id": self.id, "fullname": fullname, "user": self.user}

    def headers(self):
        return {"Authorization": f"Bearer {self.token}", "Origin": URL}


class Client:
    """A connection of `action`."""

    def __init__(self, stack, account, path="/ws/chat/"):
        self.socket = enter(stack, path, account.headers())

    def request(self, action, **fields):
        """The request's id and the whole answer."""
        number = next(REQUESTS)
        send(self.socket, {"action": action, **fields, "request_id": number})
        reply = receive(self.socket)
        check(f"the keys of {action}", list(reply), KEYS)
        check(f"{action} {fields}: {reply}", [reply["action"], reply["request_id"]], [action, number])
        return reply

    def granted(self, action, status=200, **fields):
        """The data of a granted request."""
        reply = self.request(action, **fields)
        check(f"{action} {fields}", [reply["response_status"], reply["errors"]], [status, []])
        return reply["data"]

    def refused(self, status, error, action, **fields):
        reply = self.request(action, **fields)
        check(f"{action} {fields}", [reply["response_status"], reply["data"]], [status, None])
        [found] = reply["errors"]
        assert re.match(error, found) if error.endswith(": ") else found == error, f"{found!r} is not {error!r}"

    def expect_event(self, name, frame):
        check(name, receive(self.socket), frame)

    def change(self, receivers, action, status=200, **fields):
        """The data of a change, which all in the room receive alike."""
        reply = self.request(action, **fields)
        check(f"{action} {fields}", [reply["response_status"], reply["errors"]], [status, []])
        for receiver in receivers:
            receiver.expect_event(f"{action} is received", reply)
        return reply["data"]


def room(number, accounts, business, hidden=(), **last):
    """A room; contact data of `hidden` is not shown."""
    participants = [
        {**account.participant, "user": {**account.user, "email": None, "phone": None}} if account in hidden else account.participant
        for account in sorted(accounts, key=lambda account: account.id)
    ]
    return {"pk": number, "id": number, "participants": participants, "has_business": business, **last}


def check_message(data, text, author, where):
    """Checks a message; gives it without its room."""
    check("create_message", data, {"id": data["id"], "text": text, "user": {**author.user, "email": None, "phone": None}, "created_at": data["created_at"], "room": where})
    assert re.fullmatch(MOMENT, data["created_at"]), data
    return {key: value for key, value in data.items() if key != "room"}


def handshakes(stack, ann, admin):
    cases = [
        ("/ws/chat/", {"Origin": URL}),
        ("/ws/chat/", {"Authorization": f"Bearer {ann.token}"}),
        ("/ws/chat/", {"Authorization": "Bearer x.y.z", "Origin": URL}),
        ("/ws/chat/", {"Authorization": f"Bearer {ann.token}", "Origin": "https://elsewhere.example"}),
        ("/ws/admin-chat/", ann.headers()),
        ("/ws/admin-chat/", {"Origin": URL}),
    ]
    for path, headers in cases:
        try:
            enter(stack, path, headers)
            raise AssertionError(f"{path} accepts {list(headers)}")
        except InvalidStatus as refusal:
            check(f"{path} {list(headers)}", [refusal.response.status_code, len(refusal.response.body or b"")], [403, 0])
    step("handshakes that are refused")
    for path, account in [("/ws/chat", ann), ("/ws/chat/", admin), ("/ws/admin-chat", admin), ("/ws", ann)]:
        Client(stack, account, path).granted("list")
    enter(stack, "/ws/chat/", {"Authorization": f"Bearer {ann.token}", "Origin": "http://localhost:80"})
    step("handshakes that are granted")


def members(stack, ann, bob, carl, number):
    """The endpoint of every user, in a room of ann and bob without the business tariff."""
    first, second, third = Client(stack, ann), Client(stack, bob), Client(stack, carl)
    empty = room(number, [ann, bob], False, hidden=[bob], last_message=None)
    check("list", first.granted("list"), [empty])
    check("list of nothing", third.granted("list"), [])
    step("list")
    for action, fields in [
        ("create_message", {"msg_text": "x"}),
        ("edit_message", {"msg_id": 1, "edited_msg_text": "x"}),
        ("delete_messages", {"msg_id_list": [1]}),
        ("current_room_info", {}),
    ]:
        first.refused(400, OUTSIDE, action, **fields)
    first.refused(400, "Action 'leave_room' not allowed. You are not in the room", "leave_room")
    step("nothing outside of a room")
    check("join_room", first.granted("join_room", room_pk=number), empty)
    check("once more", first.granted("join_room", room_pk=number), empty)
    second.granted("join_room", room_pk=number)
    for outsider, pk in [(third, number), (first, 404404)]:
        outsider.refused(403, NOT_A_MEMBER, "join_room", room_pk=pk)
    first.refused(400, "room_pk: ", "join_room", room_pk="1")
    first.refused(400, "room_pk: ", "join_room")
    step("join_room, 403, 400")
    check("current_room_info", first.granted("current_room_info"), empty)
    step("current_room_info")

    where = room(number, [ann, bob], False, hidden=[ann, bob])
    hello = check_message(first.change([second], "create_message", 201, msg_text="hello"), "hello", ann, where)
    answer = check_message(second.change([first], "create_message", 201, msg_text="привет 🗝"), "привет 🗝", bob, where)
    first.refused(400, "msg_text: ", "create_message")
    shown = room(number, [ann, bob], False, last_message=answer | {"user": bob.user})
    check("the newest", first.granted("current_room_info"), shown)
    check("the newest in a list", second.granted("list"), [shown])
    step("create_message, received by the author and the other; last_message")
    data = first.change([second], "edit_message", msg_id=hello["id"], edited_msg_text="edit")
    check("edit_message", data, {"room_id": number, "message_id": hello["id"], "message_text": "edit"})
    for pk in [answer["id"], 404404]:
        reply = first.request("edit_message", msg_id=pk, edited_msg_text="mine")
        check("another user's", [reply["response_status"], reply["data"], len(reply["errors"])], [404, None, 1])
    first.refused(400, "edited_msg_text: ", "edit_message", msg_id=hello["id"])
    step("edit_message, 404, 400")
    reply = first.request("delete_messages", msg_id_list=[hello["id"], answer["id"]])
    data = {"room_id": number, "messages_ids": [hello["id"]]}
    left = [f"Not all of the requested messages were deleted! Left: {answer['id']}"]
    check("some are left", [reply["errors"], reply["data"], reply["response_status"]], [left, data, 200])
    second.expect_event("a deletion without errors", reply | {"errors": []})
    reply = first.request("delete_messages", msg_id_list=[answer["id"]])
    check("all are left", [reply["response_status"], reply["data"], len(reply["errors"])], [404, None, 1])
    first.refused(400, "msg_id_list: ", "delete_messages", msg_id_list=answer["id"])
    data = second.change([first], "delete_messages", msg_id_list=[answer["id"]])
    check("delete_messages", data, {"room_id": number, "messages_ids": [answer["id"]]})
    check("nothing is left", first.granted("current_room_info"), shown | {"last_message": None})
    step("delete_messages, some left, 404, 400")

    check("leave_room", second.granted("leave_room"), {"response": f"leaved room {number} successfully!"})
    second.refused(400, OUTSIDE, "create_message", msg_text="x")
    check_message(first.granted("create_message", 201, msg_text="alone"), "alone", ann, where)
    check("a user who left receives nothing", second.granted("list")[0]["last_message"]["text"], "alone")
    step("leave_room")
    return first, second


def other_dialect(stack, first, ann, number):
    other = enter(stack, f"/api/v1/chat/{number}", {"Authorization": f"Bearer {ann.token}"})
    receive(other)
    send(other, {"type": "message", "text": "from bearer"})
    reply = receive(first.socket)
    found = [reply["action"], reply["response_status"], reply["request_id"], reply["data"]["text"]]
    check("another dialect", found, ["create_message", 201, None, "from bearer"])
    step("messages of another dialect have no request_id")


def administrators(stack, ann, bob, paying, admin, plain, business):
    """The endpoint of administrators, in a room without the business tariff and in one with it."""
    boss = Client(stack, admin, "/ws/admin-chat/")
    check("list", sorted(row["pk"] for row in boss.granted("list")), sorted([plain, business]))
    step("admin list of all rooms")
    boss.refused(405, 'Method "current_room_info" not allowed.', "current_room_info")
    boss.refused(404, "Not found", "join_room", room_pk=404404)
    boss.refused(400, OUTSIDE, "create_message", msg_text="x")
    boss.refused(400, "Action 'leave_room' not allowed. You are not in the room", "leave_room")
    step("admin current_room_info 405, join_room 404, nothing outside of a room")
    last = boss.granted("join_room", room_pk=plain)["last_message"]
    for action, fields in [
        ("create_message", {"msg_text": "x"}),
        ("edit_message", {"msg_id": last["id"], "edited_msg_text": "x"}),
        ("delete_messages", {"msg_id_list": [last["id"]]}),
    ]:
        boss.refused(403, NO_BUSINESS, action, **fields)
    step("admin join_room; writing without the business tariff is 403")
    reader = Client(stack, ann)
    reader.granted("join_room", room_pk=plain)
    text = reader.change([boss], "create_message", 201, msg_text="seen")["text"]
    check("an administrator receives messages", text, "seen")
    step("admin receives messages")

    check("the tariff", reader.granted("join_room", room_pk=business), room(business, [ann, paying], True, hidden=[paying], last_message=None))
    check("the tariff", boss.granted("join_room", room_pk=business), room(business, [ann, paying], True, last_message=None))
    where = room(business, [ann, paying], True, hidden=[ann, paying])
    theirs = check_message(reader.change([boss], "create_message", 201, msg_text="theirs"), "theirs", ann, where)
    data = boss.change([reader], "create_message", 201, msg_text="from above")
    outsider = {"id": admin.id, "email": None, "phone": None}
    check("the author is no participant", [data["text"], data["user"], data["room"]], ["from above", outsider, where])
    step("admin create_message with the business tariff")
    edited = boss.change([reader], "edit_message", msg_id=data["id"], edited_msg_text="edit")
    check("edit_message", edited, {"room_id": business, "message_id": data["id"], "message_text": "edit"})
    reply = boss.request("edit_message", msg_id=theirs["id"], edited_msg_text="x")
    check("an administrator edits no more", [reply["response_status"], reply["data"]], [404, None])
    step("admin edit_message, 404")
    gone = boss.change([reader], "delete_messages", msg_id_list=[theirs["id"]])
    check("another user's", gone, {"room_id": business, "messages_ids": [theirs["id"]]})
    step("admin delete_messages of another user's")
    check("leave_room", boss.granted("leave_room"), {"response": f"leaved room {business} successfully!"})
    step("admin leave_room")


def faults(stack, ann):
    client = Client(stack, ann)
    for frame in ["[]", '{"action":"list","action":"list"}', b"{}", "invalid"]:
        send(client.socket, frame)
        reply = receive(client.socket)
        found = [list(reply), len(reply["errors"]), reply["data"], reply["action"], reply["response_status"], reply["request_id"]]
        check(f"{frame!r}", found, [KEYS, 1, None, None, 400, None])
    client.refused(405, 'Method "fly" not allowed.', "fly")
    for number in ["text", [1, {"a": None}], 1.5, None]:
        send(client.socket, {"action": "leave_room", "request_id": number})
        check("any request_id", receive(client.socket)["request_id"], number)
    send(client.socket, {"action": "leave_room"})
    check("no request_id", receive(client.socket)["request_id"], None)
    for _ in range(10):
        send(client.socket, "invalid")
    for _ in range(10):
        check("invalid", receive(client.socket)["response_status"], 400)
    check("too many of them", closed(client.socket), 1008)
    step("faults")


def main():
    tolmach("user", "add", "admin", "--password", PASSWORD, "--email", "admin@example.org", "--admin")
    tolmach("user", "add", "paying", "--password", PASSWORD, "--email", "paying@example.org", "--business")
    with ExitStack() as stack:
        ann, bob, carl = Account("ann", "+15550001"), Account("bob", "+15550002"), Account("carl", "+15550003")
        admin, paying = Account("admin"), Account("paying")
        handshakes(stack, ann, admin)
        plain = rest("POST", f"/chat/{bob.id}", ann.token)["chat"]["id"]
        first, _ = members(stack, ann, bob, carl, plain)
        other_dialect(stack, first, ann, plain)
        business = rest("POST", f"/chat/{paying.id}", ann.token)["chat"]["id"]
        administrators(stack, ann, bob, paying, admin, plain, business)
        faults(stack, ann)
        leaving = Client(stack, carl)
        leaving.granted("list")
        rest("POST", "/logout", carl.token)
        check("the session ended", closed(leaving.socket), 1008)
        step("the end of a session closes")
    print("every action was answered as documented")


if __name__ == "__main__":
    main()
