#!/usr/bin/env python3
"""Clients as they are in the field and clients of the five documents in one group: each sends one message, and each hears all.

A Python console that reads literals, uchat on raw TCP in three ways of dividing its values, the apps of MoreliaTalk of four
protocol versions and one before, dcrf-client of npm with its wrapper, and a page in Chromium with subprotocols. Starts a gateway.
"""

import ast
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack

from _story import PASSWORD, SOCKETS, TIMEOUT, URL, check, enter, form, receive, rest, send, step
from story_sndmsg_uchat import Uchat

NODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "node")
TITLE = "one room"
TIME = "2024-11-21 15:46:54"


class Member:
    """A user of the room. `hears_itself`: its own messages come to it like those of others."""

    hears_itself = False

    def __init__(self, stack, name):
        self.stack, self.name, self.texts = stack, name, []
        self.register()

    def register(self):
        """Makes the account as this client does."""

    def enter(self, room):
        """Begins to listen to the room."""
        self.room = room

    def say(self, text):
        """Sends a message."""

    def hear(self, count):
        """Waits for `count` messages, and keeps their texts."""

    def expected(self, texts):
        return [text for name, text in texts.items() if self.hears_itself or name != self.name]


class Mode(Member):
    """The document of `mode`: messages come unasked."""

    def register(self):
        self.socket = enter(self.stack, "/mode")
        fields = {"username": self.name, "password": PASSWORD, "email": f"{self.name}@example.org"}
        self.token = None
        self.token = self.request("register", **fields)["token"]

    def request(self, mode, **fields):
        send(self.socket, {"mode": mode, "timestamp": 1, "token": self.token, **fields})
        while "chat_id" in (reply := receive(self.socket)):
            self.texts.append(reply["messages"][0]["content"])
        check(f"{mode} {fields}", reply["status"], 200)
        return reply

    def say(self, text):
        self.request("sendMessage", chat_id=self.room, content=text, content_type="text")

    def hear(self, count):
        while len(self.texts) < count:
            self.texts.append(receive(self.socket)["messages"][0]["content"])


class Literal(Member):
    """The console of `mode`: `str(dict)` one way and `ast.literal_eval` the other; it asks for the messages."""

    hears_itself = True

    def register(self):
        self.socket, self.token = enter(self.stack, "/ws"), None
        reply = self.request("register", username=self.name, email=f"{self.name}@example.org", password=PASSWORD)
        self.token = reply["token"]

    def request(self, mode, **fields):
        request = {"mode": mode, "timestamp": TIME, **({"token": self.token} if self.token else {}), **fields}
        self.socket.send(str(request))
        reply = ast.literal_eval(self.socket.recv(timeout=TIMEOUT))
        check(f"{mode} {fields}", reply["status"], "200")
        return reply

    def enter(self, room):
        # People type it.
        self.room = str(room)
        titles = [chat["chat_name"] for chat in self.request("getChats")["chats"]]
        check("the chats", titles, [TITLE])

    def say(self, text):
        self.request("sendMessage", chat_id=self.room, content=text, content_type="text")

    def hear(self, count):
        self.texts = [row["content"] for row in self.request("getMessages", chat_id=self.room)["chats"]]


class SndMsg(Member):
    """The document of `sndmsg`."""

    def register(self):
        self.socket = enter(self.stack, "/sndmsg")
        account = {"login": self.name, "pass": PASSWORD}
        check("signup", self.request("REQUEST_SIGNUP", **account)["status"], "SINGUP_OK")
        check("login", self.request("REQUEST_LOGIN", **account)["status"], "LOGIN_OK")

    def request(self, kind, **fields):
        send(self.socket, {"type": kind, **fields})
        while (reply := receive(self.socket))["type"] == "READ_MSG":
            self.texts.append(reply["message"])
        return reply

    def say(self, text):
        reply = self.request("SND_MSG", username=self.name, room_id=self.room, message=text, msg_type="TEXT")
        check("SND_MSG", reply["status"], "SUCCESS")

    def hear(self, count):
        while len(self.texts) < count:
            self.texts.append(receive(self.socket)["message"])


class UchatMember(Member):
    """uchat on raw TCP. It hears the room that it has read."""

    def __init__(self, stack, name, divided):
        self.divided = divided
        super().__init__(stack, name)

    def register(self):
        self.client = Uchat(self.stack, self.divided)
        check("signup", self.client.request(1, login=self.name, **{"pass": PASSWORD}), {"type": 1, "status": 0})

    def enter(self, room):
        self.room = room
        self.client.send({"type": 4, "room_id": room})
        # An empty room is answered by nothing: the rooms are the next answer.
        rooms = self.client.request(9, username=self.name)
        check("the rooms", rooms, {"type": 9, "status": 0, "dialogs": [TITLE], "id": [room]})

    def say(self, text):
        request = {"type": 3, "username": self.name, "room_id": self.room, "message": text, "msg_type": 0}
        self.client.send(request)
        while (reply := self.client.receive())["type"] == 4:
            self.texts.append(reply["message"])
        check("the reply", [reply["type"], reply["status"], reply["room_id"]], [3, 0, self.room])

    def hear(self, count):
        while len(self.texts) < count:
            row = self.client.receive()
            check("a message", [row["type"], row["room_id"], row["update"]], [4, str(self.room), 0])
            self.texts.append(row["message"])


class Morelia(Member):
    """An app of MoreliaTalk. Nothing comes unasked."""

    hears_itself = True
    agent = None
    codes = {"register_user": 200}

    def frame(self, kind, **data):
        return {"type": kind, "data": {**data, "meta": "None"}, "jsonapi": {"version": "1.0"}, "meta": "None"}

    def user(self, **fields):
        return fields

    def register(self):
        self.socket = enter(self.stack, "/ws", user_agent_header=self.agent)
        account = self.user(login=self.name, password=PASSWORD, email=f"{self.name}@example.org", username=self.name)
        granted = self.request("register_user", user=account)["user"]
        granted = granted[0] if isinstance(granted, list) else granted
        self.caller = self.user(**{key: granted[key] for key in [self.key, "auth_id"]})

    key = "id"

    def request(self, kind, **data):
        send(self.socket, self.frame(kind, **data))
        reply = receive(self.socket)
        code = self.codes.get(kind, 200)
        check(f"{kind} {data}: {reply}", [reply["type"], reply["errors"]["code"]], [kind, code])
        return reply["data"]

    def flow(self):
        return {"id": self.room}

    def message(self, text):
        return {"id": 1, "text": text}

    def say(self, text):
        self.request("send_message", user=self.caller, flow=self.flow(), message=self.message(text))

    def hear(self, count):
        messages = self.request("all_messages", user=self.caller, time=0)["message"]
        self.texts = [message["text"] for message in messages]


class MoreliaLists(Morelia):
    """The later apps: everything is a list."""

    key = "uuid"
    codes = {"register_user": 201}

    def frame(self, kind, **data):
        return {"type": kind, "data": data, "jsonapi": {"version": "1.0"}, "meta": None}

    def user(self, **fields):
        return [fields]

    def message(self, text):
        return [{"text": text}]


class Morelia115(MoreliaLists):
    # Its first frame is that of 1.16: an operator pins it.
    agent = "Morelia/1.15"

    def flow(self):
        return [{"id": self.room}]


class Morelia116(MoreliaLists):
    def flow(self):
        return [{"uuid": f"{self.room:032x}"}]

    def frame(self, kind, **data):
        return {"type": kind, "data": {"time": 0, **data}}


class Morelia17(MoreliaLists):
    def flow(self):
        return [{"uuid": str(self.room)}]

    def frame(self, kind, **data):
        return super().frame(kind, **data) | {"jsonapi": {"version": "1.0", "revision": "17"}}


class Tk(Member):
    """The client of MoreliaTalk before 1.0: `reg` registers or logs in, and there is one room."""

    hears_itself = True

    def reg(self, status):
        self.socket = enter(self.stack, "/ws")
        send(self.socket, {"mode": "reg", "username": self.name, "password": PASSWORD})
        check("reg", receive(self.socket), {"mode": "reg", "status": status})

    def register(self):
        self.reg("newreg")

    def enter(self, room):
        # The room is the newest when it logs in.
        self.socket.close()
        self.reg("true")

    def say(self, text):
        send(self.socket, {"mode": "message", "username": self.name, "text": text})

    def hear(self, count):
        while len(self.texts) < count:
            message = receive(self.socket)
            check("a message", message["mode"], "message")
            self.texts.append(message["text"])


class Account(Member):
    """A user with a token of `bearer`."""

    def register(self):
        account = {"username": self.name, "password": PASSWORD, "email": f"{self.name}@example.org"}
        self.token = rest("POST", "/register", body=account)["access_token"]
        form("/user", self.token, {"username": self.name, "name": self.name, "description": ""})


class Bearer(Account):
    """The document of `bearer`: a WebSocket for the room."""

    hears_itself = True

    def enter(self, room):
        self.socket = enter(self.stack, f"/api/v1/group/{room}", {"Authorization": f"Bearer {self.token}"})
        check("the history", receive(self.socket)["messages"], [])

    def say(self, text):
        send(self.socket, {"type": "message", "text": text})

    def hear(self, count):
        while len(self.texts) < count:
            self.texts.append(receive(self.socket)["text"])


class Action(Account):
    """The document of `action`."""

    hears_itself = True

    def enter(self, room):
        self.socket = enter(self.stack, "/ws/chat/", {"Authorization": f"Bearer {self.token}", "Origin": URL})
        send(self.socket, {"action": "join_room", "room_pk": room, "request_id": 1})
        check("join_room", receive(self.socket)["response_status"], 200)

    def say(self, text):
        send(self.socket, {"action": "create_message", "msg_text": text, "request_id": 2})

    def hear(self, count):
        while len(self.texts) < count:
            self.texts.append(receive(self.socket)["data"]["text"])


class NodeMember(Account):
    """A script of Node.js: it prints a line of JSON for each text that it hears, and sends the lines that it is given."""

    script = None

    def enter(self, room):
        given = {"TOLMACH_SOCKETS": SOCKETS, "TOLMACH_TOKEN": self.token, "TOLMACH_ROOM": str(room)}
        script = os.path.join(NODE, self.script)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(["node", script], env=os.environ | given, **pipes)
        self.stack.callback(self.end)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        check("the room is entered", self.next(), "entered")

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def next(self):
        return self.lines.get(timeout=TIMEOUT)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()

    def say(self, text):
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()

    def hear(self, count):
        while len(self.texts) < count:
            self.texts.append(self.next())


class Dcrf(NodeMember):
    """dcrf-client of npm, with its wrapper and no serializer."""

    script = "one_room_dcrf.mjs"
    # A reply of its own is the answer to its request.
    hears_itself = False


class Page(NodeMember):
    """A page of 2025 in Chromium: neither `Authorization` nor an `Origin` that is allowed."""

    script = "one_room_page.mjs"
    hears_itself = True


def missing():
    """The reason why this cannot run here."""
    for program in ["node", "chromium"]:
        if not shutil.which(program):
            return f"there is no {program}"
    installed = os.path.exists(os.path.join(NODE, "node_modules", ".installed.json"))
    return None if installed else "the packages of npm are not installed"


def main():
    if reason := missing():
        # As in xtask.
        is_ci = os.environ.get("CI", "") not in ["", "0", "false"]
        sys.exit(f"one room: {reason}" if is_ci else print(f"skipped: one room: {reason}"))
    with ExitStack() as stack:
        members = [
            Mode(stack, "mode"), SndMsg(stack, "sndmsg"), Morelia(stack, "morelia"),
            Bearer(stack, "bearer"), Action(stack, "action"), Literal(stack, "literal"),
            *(UchatMember(stack, f"uchat-{divided}", divided) for divided in ["bytes", "values", "merged"]),
            Tk(stack, "morelia-0"), Morelia115(stack, "morelia-1.15"), Morelia116(stack, "morelia-1.16"), Morelia17(stack, "morelia-17"),
            Dcrf(stack, "dcrf"), Page(stack, "page"),
        ]  # fmt: skip
        step(f"{len(members)} accounts, each made by its client or by REST")
        ids = {}
        for member in members:
            token = rest("POST", "/login", body={"username": member.name, "password": PASSWORD})["access_token"]
            ids[member.name] = rest("GET", "/user", token)["id"]
        owner = next(member for member in members if isinstance(member, Bearer))
        others = [{"id": number, "name": name} for name, number in ids.items() if name != owner.name]
        group = form("/group", owner.token, {"name": TITLE, "description": "", "users": others})["group"]["id"]
        for member in members:
            member.enter(group)
        step("all are in the room")
        texts = {member.name: f"{member.name}: привет, 'мир'" for member in members}
        for member in members:
            member.say(texts[member.name])
        for member in members:
            expected = member.expected(texts)
            member.hear(len(expected))
            check(f"{member.name} hears all, each once", sorted(member.texts), sorted(expected))
        step("each has heard all others")


main()
