#!/usr/bin/env python3
"""The requests of uchat on raw TCP, divided in every way, with a client of `mode`, by sockets alone. Starts a gateway."""

import json
import os
import socket
from contextlib import ExitStack

from _story import PASSWORD, TIMEOUT, check, enter, receive, send, step

HOST, PORT = os.environ["TOLMACH_SNDMSG_TCP"].rsplit(":", 1)
# As uchat's printer of JSON writes them.
INDENTATION = "\t"


class Uchat:
    """A connection of uchat. `divided`: a segment for each byte, or for each value, or for all values up to the next reply."""

    def __init__(self, stack, divided):
        self.socket = stack.enter_context(socket.create_connection((HOST, int(PORT)), TIMEOUT))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.divided, self.waiting, self.received = divided, b"", ""

    def send(self, value):
        text = value if isinstance(value, str) else json.dumps(value, indent=INDENTATION)
        self.waiting += text.encode()
        if self.divided == "bytes":
            for byte in self.waiting:
                self.socket.sendall(bytes([byte]))
        elif self.divided == "values":
            self.socket.sendall(self.waiting)
        if self.divided != "merged":
            self.waiting = b""

    def receive(self):
        self.socket.sendall(self.waiting)
        self.waiting = b""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.received)
                self.received = self.received[end:]
                return value
            except json.JSONDecodeError:
                part = self.socket.recv(1 << 16)
                assert part, f"the gateway closed after {self.received!r}"
                self.received += part.decode()

    def request(self, kind, **fields):
        self.send({"type": kind, **fields})
        return self.receive()


class Mode:
    def __init__(self, stack, name):
        self.socket = enter(stack, "/mode")
        fields = {"username": name, "password": PASSWORD, "email": f"{name}@example.org"}
        self.token = self.request("register", **fields)["token"]

    def request(self, mode, **fields):
        token = {} if mode == "register" else {"token": self.token}
        send(self.socket, {"mode": mode, "timestamp": 1, **token, **fields})
        reply = receive(self.socket)
        check(f"{mode} {fields}", reply["status"], 200)
        return reply


def conversation(stack, divided):
    ann, bob, carl = f"ann{divided}", f"bob{divided}", f"carl{divided}"
    mode = Mode(stack, carl)
    uchat = Uchat(stack, divided)
    # A word that uchat sends after a reconnection, and a login that fails.
    uchat.send("TEST")
    check("login", uchat.request(0, login=ann, **{"pass": PASSWORD}), {"type": 0, "status": 3})
    for login in [bob, ann]:
        check("signup", uchat.request(1, login=login, **{"pass": PASSWORD}), {"type": 1, "status": 0})
    check("search", uchat.request(5, user=carl), {"type": 5, "status": 0, "user": [carl]})
    reply = uchat.request(2, sender=ann, receiver=carl)
    room = reply["id"]
    check("room", reply, {"type": 2, "status": 0, "id": room, "customer": carl})
    # The history of an empty room has no frame: the reply to the message is the next one.
    uchat.send({"type": 4, "room_id": room})
    reply = uchat.request(3, username=ann, room_id=room, message="привет}{", msg_type=0)
    check("message", [reply["type"], reply["status"], reply["room_id"]], [3, 0, room])
    messages = mode.request("getMessages", chat_id=room)["messages"]
    check("the message in mode", [message["content"] for message in messages], ["привет}{"])
    uchat.send("TEST")
    uchat.send({"type": 3, "username": ann, "room_id": room, "message": "second", "msg_type": 0})
    uchat.send({"type": 9, "username": ann})
    check("second message", uchat.receive()["type"], 3)
    check("rooms", uchat.receive(), {"type": 9, "status": 0, "dialogs": [carl], "id": [room]})
    send(mode.socket, {"mode": "sendMessage", "timestamp": 1, "token": mode.token, "chat_id": room, "content": "hello", "content_type": "text"})
    event = uchat.receive()
    check("event", [event["type"], event["room_id"], event["message"], event["sender"]], [4, str(room), "hello", carl])
    uchat.send({"type": 4, "room_id": room})
    texts = [uchat.receive()["message"] for _ in range(3)]
    check("history", texts, ["привет}{", "second", "hello"])
    step(f"uchat and mode, {divided}")


def main():
    for divided in ["bytes", "values", "merged"]:
        with ExitStack() as stack:
            conversation(stack, divided)


if __name__ == "__main__":
    main()
