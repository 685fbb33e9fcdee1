#!/usr/bin/env python3
"""Every request and every reply of `sndmsg`, by a client that shares no code with the gateway. Starts a gateway."""

import re
from contextlib import ExitStack

from _story import PASSWORD, check, closed, enter, receive, send, step

DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


class Client:
    """A connection of `sndmsg`."""

    def __init__(self, stack, login=None, path="/sndmsg"):
        self.socket, self.login = enter(stack, path), login
        if login:
            self.expect({"status": "LOGIN_OK"}, "REQUEST_LOGIN", "RESPONSE_LOGIN", **{"login": login, "pass": PASSWORD})

    def request(self, kind, **fields):
        send(self.socket, {"type": kind, **fields})
        return receive(self.socket)

    def expect(self, reply, kind, reply_kind=None, **fields):
        check(f"{kind} {fields}", self.request(kind, **fields), {"type": reply_kind or kind, **reply})

    def refused(self, status, detail, kind, **fields):
        """A refusal whose detail begins so."""
        reply = self.request(kind, **fields)
        check(f"{kind} {fields}", list(reply), ["type", "status", "detail"])
        check(f"{kind} {fields}: {reply}", [reply["type"], reply["status"]], [kind, status])
        assert reply["detail"].startswith(detail), reply

    def send(self, room, text, **fields):
        """The id and the date of a new message."""
        reply = self.request("SND_MSG", username=self.login, room_id=room, message=text, **fields)
        expected = {"type": "SND_MSG", "status": "SUCCESS", "room_id": room, "message_id": reply.get("message_id"), "date": reply.get("date")}
        check("SND_MSG", reply, expected)
        assert isinstance(reply["message_id"], int) and re.fullmatch(DATE, reply["date"]), reply
        return reply["message_id"], reply["date"]

    def expect_event(self, name, frame):
        check(name, receive(self.socket), frame)

    def read(self, room, read, messages):
        """Reads a room; the reply to a search marks the end."""
        send(self.socket, {"type": "READ_MSG", "read": read, "room_id": room})
        send(self.socket, {"type": "SEARCH_USER", "user": ""})
        for message in messages or [{"type": "READ_MSG", "status": "SUCCESS", "room_id": room}]:
            self.expect_event(f"READ_MSG {read}", message)
        self.expect_event("the end", {"type": "SEARCH_USER", "user": []})


def message(room, sent, kind, text, sender):
    number, date = sent
    return {
        "type": "READ_MSG", "status": "SUCCESS", "room_id": room, "message_id": number,
        "msg_type": kind, "message": text, "date": date, "sender": sender,
    }  # fmt: skip


def accounts(stack):
    stranger = Client(stack)
    for login in ["ann", "bob", "carl"]:
        stranger.expect({"status": "SINGUP_OK"}, "REQUEST_SIGNUP", "RESPONSE_SIGNUP", **{"login": login, "pass": PASSWORD})
    step("REQUEST_SIGNUP SINGUP_OK")
    stranger.expect({"status": "SIGNUP_USER_EXIST"}, "REQUEST_SIGNUP", "RESPONSE_SIGNUP", **{"login": "ANN", "pass": "x"})
    step("REQUEST_SIGNUP SIGNUP_USER_EXIST")
    reply = stranger.request("REQUEST_SIGNUP", **{"login": "dan", "pass": ""})
    check("SINGUP_FAIL", [list(reply), reply["type"], reply["status"]], [["type", "status", "detail"], "RESPONSE_SIGNUP", "SINGUP_FAIL"])
    assert reply["detail"].startswith("pass: "), reply
    step("REQUEST_SIGNUP SINGUP_FAIL")
    for login in ["ann", "nobody"]:
        stranger.expect({"status": "LOGIN_WRONG_PASS"}, "REQUEST_LOGIN", "RESPONSE_LOGIN", **{"login": login, "pass": "wrong"})
    step("REQUEST_LOGIN LOGIN_WRONG_PASS")
    requests = {
        "CREATE_ROOM": {"username": "ann", "customer": "bob"},
        "SND_MSG": {"username": "ann", "room_id": 1, "message": "x", "msg_type": "TEXT"},
        "READ_MSG": {"read": "ALL", "room_id": 1},
        "SEARCH_USER": {"user": "a"},
        "DELETE_ROOM": {"id": 1},
        "DELETE_MSG": {"id": 1},
        "EDIT_MSG": {"id": 1, "new_msg": "x"},
        "OLD_DIALOGS": {"username": "ann"},
    }
    for kind, fields in requests.items():
        stranger.expect({"status": "ERROR", "detail": "log in first"}, kind, **fields)
    step("nothing before a login")
    ann, bob, carl = (Client(stack, login) for login in ["ann", "bob", "carl"])
    ann.expect({"status": "LOGIN_WRONG_PASS"}, "REQUEST_LOGIN", "RESPONSE_LOGIN", **{"login": "bob", "pass": "wrong"})
    ann.expect({"user": ["ann", "carl"]}, "SEARCH_USER", user="A")
    Client(stack, "bob", path="/ws")
    step("REQUEST_LOGIN LOGIN_OK")
    return ann, bob, carl


def rooms(ann, bob, carl):
    room = ann.request("CREATE_ROOM", username="ann", customer="BOB")
    check("a room", room, {"type": "CREATE_ROOM", "id": room.get("id"), "customer": "BOB"})
    bob.expect_event("the other user receives it", {"type": "CREATE_ROOM", "id": room["id"], "customer": "ann"})
    bob.expect({"id": room["id"], "customer": "ann"}, "CREATE_ROOM", username="bob", customer="ann")
    ann.refused("ERROR", "", "CREATE_ROOM", username="ann", customer="nobody")
    ann.refused("ERROR", "username: ", "CREATE_ROOM", username="bob", customer="carl")
    step("CREATE_ROOM")
    room = room["id"]
    ann.expect({"dialogs": ["bob"], "id": [room], "first_massage_id": [0]}, "OLD_DIALOGS", username="ann")
    carl.expect({"dialogs": [], "id": [], "first_massage_id": []}, "OLD_DIALOGS", username="carl")
    step("OLD_DIALOGS of an empty room, and without a room")
    ann.read(room, "ALL", [])
    ann.read(room, "RESENT", [])
    step("READ_MSG of an empty room")
    return room


def messages(stack, ann, bob, carl, room):
    second = Client(stack, "ann")
    texts = [("TEXT", "Hello"), ("IMAGE", "https://example.org/a.png"), ("FILE", "ключ.txt 🗝")]
    sent = []
    for kind, text in texts:
        sent.append(message(room, ann.send(room, text, msg_type=kind), kind, text, "ann"))
        for receiver in [bob, second]:
            receiver.expect_event("a message is pushed", sent[-1])
    plain = message(room, bob.send(room, "no msg_type"), "TEXT", "no msg_type", "bob")
    for receiver in [ann, second]:
        receiver.expect_event("a message is pushed", plain)
    step("SND_MSG TEXT, IMAGE, FILE and none; pushed as READ_MSG")
    bob.read(room, "ALL", [*sent, plain])
    step("READ_MSG ALL")
    ann.read(room, "RESENT", [plain])
    ann.read(room, "RESENT", [])
    step("READ_MSG RESENT marks as read")
    ann.refused("ERROR", "username: ", "SND_MSG", username="bob", room_id=room, message="x", msg_type="TEXT")
    ann.refused("ERROR", "msg_type: ", "SND_MSG", username="ann", room_id=room, message="x", msg_type="VIDEO")
    ann.refused("ERROR", "message: ", "SND_MSG", username="ann", room_id=room)
    ann.refused("ERROR", "read: ", "READ_MSG", read="SOME", room_id=room)
    for stranger, number in [(carl, room), (ann, 404404)]:
        no_room = {"status": "ROOM_DOES_NOT_EXIST", "detail": "no such room"}
        stranger.expect(no_room, "SND_MSG", username=stranger.login, room_id=number, message="x", msg_type="TEXT")
        stranger.expect(no_room, "READ_MSG", read="ALL", room_id=number)
        stranger.expect(no_room, "DELETE_ROOM", id=number)
    step("refusals of SND_MSG and READ_MSG, ROOM_DOES_NOT_EXIST")

    numbers = [row["message_id"] for row in sent]
    ann.expect({"id": numbers[1], "new_msg": "edited"}, "EDIT_MSG", id=numbers[1], new_msg="edited")
    for receiver in [bob, second]:
        receiver.expect_event("an edit is pushed", {"type": "EDIT_MSG", "id": numbers[1], "new_msg": "edited"})
    only_author = {"status": "ERROR", "detail": "only the author of the message may do this"}
    bob.expect(only_author, "EDIT_MSG", id=numbers[1], new_msg="Mine")
    bob.refused("ERROR", "new_msg: ", "EDIT_MSG", id=plain["message_id"])
    step("EDIT_MSG")
    ann.expect({"id": numbers[0]}, "DELETE_MSG", id=numbers[0])
    for receiver in [bob, second]:
        receiver.expect_event("a deletion is pushed", {"type": "DELETE_MSG", "id": numbers[0]})
    bob.expect(only_author, "DELETE_MSG", id=numbers[1])
    ann.refused("ERROR", "", "DELETE_MSG", id=404404)
    step("DELETE_MSG")
    ann.read(room, "ALL", [sent[1] | {"message": "edited"}, sent[2], plain])
    ann.expect({"dialogs": ["bob"], "id": [room], "first_massage_id": [numbers[1]]}, "OLD_DIALOGS", username="ann")
    step("READ_MSG and OLD_DIALOGS after an edit and a deletion")
    bob.expect({"user": ["ann", "carl"]}, "SEARCH_USER", user="A")
    bob.expect({"user": []}, "SEARCH_USER", user="zzz")
    bob.expect({"user": []}, "SEARCH_USER", user="")
    step("SEARCH_USER")
    return second


def removal(ann, bob, second, room):
    bob.refused("ERROR", "", "DELETE_ROOM", id=room)
    ann.expect({"id": room}, "DELETE_ROOM", id=room)
    for receiver in [bob, second]:
        receiver.expect_event("each member receives it", {"type": "DELETE_ROOM", "id": room})
    ann.expect({"status": "ROOM_DOES_NOT_EXIST", "detail": "no such room"}, "READ_MSG", read="ALL", room_id=room)
    ann.expect({"dialogs": [], "id": [], "first_massage_id": []}, "OLD_DIALOGS", username="ann")
    step("DELETE_ROOM")


def faults(ann):
    ann.refused("ERROR", "", "FLY")
    ann.refused("ERROR", "user: ", "SEARCH_USER")
    for frame in ["[]", "{}", '{"type":"SEARCH_USER","user":"a","user":"b"}', '{"type":1}', b"{}", "invalid"]:
        send(ann.socket, frame)
        reply = receive(ann.socket)
        check(f"{frame!r}", [list(reply), reply["type"], reply["status"]], [["type", "status", "detail"], "ERROR", "ERROR"])
    ann.expect({"user": []}, "SEARCH_USER", user="")
    for _ in range(10):
        send(ann.socket, "invalid")
    for _ in range(10):
        check("invalid", receive(ann.socket)["status"], "ERROR")
    check("enough of it", closed(ann.socket), 1008)
    step("faults")


def main():
    with ExitStack() as stack:
        ann, bob, carl = accounts(stack)
        room = rooms(ann, bob, carl)
        second = messages(stack, ann, bob, carl, room)
        removal(ann, bob, second, room)
        faults(ann)
    print("every request of sndmsg was answered as documented")


if __name__ == "__main__":
    main()
