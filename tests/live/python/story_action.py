#!/usr/bin/env python3
"""Every action at both doors of `action`, driven by a client that shares no code with the gateway. Starts a gateway of its own."""

import itertools
import re
from contextlib import ExitStack

from _story import PASSWORD, URL, check, closed, enter, form, hear, rest, say, step, tolmach
from websockets.exceptions import InvalidStatus

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
REQUESTS = itertools.count(1500000)
KEYS = ["errors", "data", "action", "response_status", "request_id"]
OUTSIDE = "Action not allowed. You are not in the room!"
NO_BUSINESS = "Action not allowed. You cannot write to a chat that does not have brand with business subscription!"
NOT_A_MEMBER = "You cannot enter a room you are not a member of"


class Person:
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
    """A connection that speaks `action`."""

    def __init__(self, stack, person, door="/ws/chat/"):
        self.socket = enter(stack, door, person.headers())

    def ask(self, action, **fields):
        """The request's id and the whole answer."""
        number = next(REQUESTS)
        say(self.socket, {"action": action, **fields, "request_id": number})
        reply = hear(self.socket)
        check(f"the keys of {action}", list(reply), KEYS)
        check(f"{action} {fields}: {reply}", [reply["action"], reply["request_id"]], [action, number])
        return reply

    def granted(self, action, status=200, **fields):
        """The data of an answer that agrees."""
        reply = self.ask(action, **fields)
        check(f"{action} {fields}", [reply["response_status"], reply["errors"]], [status, []])
        return reply["data"]

    def refused(self, status, error, action, **fields):
        reply = self.ask(action, **fields)
        check(f"{action} {fields}", [reply["response_status"], reply["data"]], [status, None])
        [found] = reply["errors"]
        assert re.match(error, found) if error.endswith(": ") else found == error, f"{found!r} is not {error!r}"

    def heard(self, name, frame):
        check(name, hear(self.socket), frame)

    def change(self, listeners, action, status=200, **fields):
        """The data of a change, which everybody in the room hears alike."""
        reply = self.ask(action, **fields)
        check(f"{action} {fields}", [reply["response_status"], reply["errors"]], [status, []])
        for listener in listeners:
            listener.heard(f"{action} is heard", reply)
        return reply["data"]


def room(number, people, business, **last):
    people = [person.participant for person in sorted(people, key=lambda person: person.id)]
    return {"pk": number, "id": number, "participants": people, "has_business": business, **last}


def written(data, text, author, where):
    """A message, and that it is as it should be."""
    check("create_message", data, {"id": data["id"], "text": text, "user": author.user, "created_at": data["created_at"], "room": where})
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
    for door, headers in cases:
        try:
            enter(stack, door, headers)
            raise AssertionError(f"{door} let in {list(headers)}")
        except InvalidStatus as refusal:
            check(f"{door} {list(headers)}", [refusal.response.status_code, len(refusal.response.body or b"")], [403, 0])
    step("handshakes that are refused")
    for door, person in [("/ws/chat", ann), ("/ws/chat/", admin), ("/ws/admin-chat", admin), ("/ws", ann)]:
        Client(stack, person, door).granted("list")
    enter(stack, "/ws/chat/", {"Authorization": f"Bearer {ann.token}", "Origin": "http://localhost:80"})
    step("handshakes that are granted")


def everyone(stack, ann, bob, carl, number):
    """The door of every user; the room belongs to ann and bob, and nobody in it pays."""
    first, second, third = Client(stack, ann), Client(stack, bob), Client(stack, carl)
    empty = room(number, [ann, bob], False, last_message=None)
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

    where = room(number, [ann, bob], False)
    hello = written(first.change([second], "create_message", 201, msg_text="hello"), "hello", ann, where)
    answer = written(second.change([first], "create_message", 201, msg_text="привет 🗝"), "привет 🗝", bob, where)
    first.refused(400, "msg_text: ", "create_message")
    check("the newest", first.granted("current_room_info"), where | {"last_message": answer})
    check("the newest in a list", second.granted("list"), [where | {"last_message": answer}])
    step("create_message, heard by the author and the other; last_message")
    data = first.change([second], "edit_message", msg_id=hello["id"], edited_msg_text="edit")
    check("edit_message", data, {"room_id": number, "message_id": hello["id"], "message_text": "edit"})
    for pk in [answer["id"], 404404]:
        reply = first.ask("edit_message", msg_id=pk, edited_msg_text="mine")
        check("somebody else's", [reply["response_status"], reply["data"], len(reply["errors"])], [404, None, 1])
    first.refused(400, "edited_msg_text: ", "edit_message", msg_id=hello["id"])
    step("edit_message, 404, 400")
    reply = first.ask("delete_messages", msg_id_list=[hello["id"], answer["id"]])
    data = {"room_id": number, "messages_ids": [hello["id"]]}
    left = [f"Not all of the requested messages were deleted! Left: {answer['id']}"]
    check("some are left", [reply["errors"], reply["data"], reply["response_status"]], [left, data, 200])
    second.heard("a deletion without errors", reply | {"errors": []})
    reply = first.ask("delete_messages", msg_id_list=[answer["id"]])
    check("all are left", [reply["response_status"], reply["data"], len(reply["errors"])], [404, None, 1])
    first.refused(400, "msg_id_list: ", "delete_messages", msg_id_list=answer["id"])
    data = second.change([first], "delete_messages", msg_id_list=[answer["id"]])
    check("delete_messages", data, {"room_id": number, "messages_ids": [answer["id"]]})
    check("nothing is left", first.granted("current_room_info"), empty)
    step("delete_messages, some left, 404, 400")

    check("leave_room", second.granted("leave_room"), {"response": f"leaved room {number} successfully!"})
    second.refused(400, OUTSIDE, "create_message", msg_text="x")
    written(first.granted("create_message", 201, msg_text="alone"), "alone", ann, where)
    check("who left hears nothing", second.granted("list")[0]["last_message"]["text"], "alone")
    step("leave_room")
    return first, second


def elsewhere(stack, first, ann, number):
    other = enter(stack, f"/api/v1/chat/{number}", {"Authorization": f"Bearer {ann.token}"})
    hear(other)
    say(other, {"type": "message", "text": "from bearer"})
    reply = hear(first.socket)
    found = [reply["action"], reply["response_status"], reply["request_id"], reply["data"]["text"]]
    check("another dialect", found, ["create_message", 201, None, "from bearer"])
    step("what comes from another dialect has no request_id")


def administrators(stack, ann, bob, paying, admin, plain, business):
    """The door of administrators, in a room without the business tariff and in one with it."""
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
    check("an administrator reads along", text, "seen")
    step("admin reads along")

    where = room(business, [ann, paying], True)
    check("the tariff", reader.granted("join_room", room_pk=business), where | {"last_message": None})
    check("the tariff", boss.granted("join_room", room_pk=business), where | {"last_message": None})
    theirs = written(reader.change([boss], "create_message", 201, msg_text="theirs"), "theirs", ann, where)
    data = boss.change([reader], "create_message", 201, msg_text="from above")
    outsider = {"id": admin.id, "email": None, "phone": None}
    check("the author is no participant", [data["text"], data["user"], data["room"]], ["from above", outsider, where])
    step("admin create_message with the business tariff")
    edited = boss.change([reader], "edit_message", msg_id=data["id"], edited_msg_text="edit")
    check("edit_message", edited, {"room_id": business, "message_id": data["id"], "message_text": "edit"})
    reply = boss.ask("edit_message", msg_id=theirs["id"], edited_msg_text="x")
    check("an administrator edits no more", [reply["response_status"], reply["data"]], [404, None])
    step("admin edit_message, 404")
    gone = boss.change([reader], "delete_messages", msg_id_list=[theirs["id"]])
    check("anybody's", gone, {"room_id": business, "messages_ids": [theirs["id"]]})
    step("admin delete_messages of anybody's")
    check("leave_room", boss.granted("leave_room"), {"response": f"leaved room {business} successfully!"})
    step("admin leave_room")


def faults(stack, ann):
    client = Client(stack, ann)
    for frame in ["[]", '{"action":"list","action":"list"}', b"{}", "nonsense"]:
        say(client.socket, frame)
        reply = hear(client.socket)
        found = [list(reply), len(reply["errors"]), reply["data"], reply["action"], reply["response_status"], reply["request_id"]]
        check(f"{frame!r}", found, [KEYS, 1, None, None, 400, None])
    client.refused(405, 'Method "fly" not allowed.', "fly")
    for number in ["text", [1, {"a": None}], 1.5, None]:
        say(client.socket, {"action": "leave_room", "request_id": number})
        check("any request_id", hear(client.socket)["request_id"], number)
    say(client.socket, {"action": "leave_room"})
    check("no request_id", hear(client.socket)["request_id"], None)
    for _ in range(10):
        say(client.socket, "nonsense")
    for _ in range(10):
        check("nonsense", hear(client.socket)["response_status"], 400)
    check("enough of it", closed(client.socket), 1008)
    step("faults")


def main():
    tolmach("user", "add", "admin", "--password", PASSWORD, "--email", "admin@example.org", "--admin")
    tolmach("user", "add", "paying", "--password", PASSWORD, "--email", "paying@example.org", "--business")
    with ExitStack() as stack:
        ann, bob, carl = Person("ann", "+15550001"), Person("bob", "+15550002"), Person("carl", "+15550003")
        admin, paying = Person("admin"), Person("paying")
        handshakes(stack, ann, admin)
        plain = rest("POST", f"/chat/{bob.id}", ann.token)["chat"]["id"]
        first, _ = everyone(stack, ann, bob, carl, plain)
        elsewhere(stack, first, ann, plain)
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
