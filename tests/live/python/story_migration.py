#!/usr/bin/env python3
"""A migration from beginning to end: clients of uchat become clients of `bearer`, with a way back in the middle.
docs/migrate.md is the guide that it follows. Starts gateways."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

from _story import TIMEOUT, check, enter, receive, rest, send, step

BINARY, PROJECT = os.environ["TOLMACH_BIN"], os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
OLD, NEW = "sndmsg/uchat", "bearer"
PASSWORDS = {"ann": "apple pie", "bob": "blueberry"}
# A user of the old server only.
EVE = "eve"
# The room of Ann and Bob, and its messages, in the old server's database.
ROOM, MESSAGES = 4, ["hello bob", "hello ann", "how are you?"]


class Uchat:
    """A client of uchat: JSON values on raw TCP, without anything between them."""

    def __init__(self, stack, address):
        host, port = address.rsplit(":", 1)
        self.socket = stack.enter_context(socket.create_connection((host, int(port)), TIMEOUT))
        self.received = ""

    def send(self, **frame):
        self.socket.sendall(json.dumps(frame).encode())

    def receive(self):
        while True:
            with contextlib.suppress(json.JSONDecodeError):
                value, end = json.JSONDecoder().raw_decode(self.received)
                self.received = self.received[end:]
                return value
            part = self.socket.recv(1 << 16)
            if not part:
                raise ConnectionError(f"closed after {self.received!r}")
            self.received += part.decode()

    def log_in(self, name):
        """The status: 0 if it is granted."""
        self.send(**{"type": 0, "login": name, "pass": PASSWORDS[name]})
        return self.receive()["status"]

    def read(self, count):
        self.send(type=4, room_id=ROOM)
        return [self.receive()["message"] for _ in range(count)]

    def write(self, name, text):
        self.send(type=3, username=name, room_id=ROOM, message=text, msg_type=0)
        return self.receive()["status"]


class Bearer:
    """A client of `bearer`, with the passwords of before."""

    def __init__(self, stack, name):
        self.token = rest("POST", "/login", body={"username": name, "password": PASSWORDS[name]})["access_token"]
        headers = {"Authorization": f"Bearer {self.token}"}
        self.room = enter(stack, f"/api/v1/chat/{ROOM}?limit=100&offset=0", headers)
        self.texts = [message["text"] for message in reversed(receive(self.room)["messages"])]

    def write(self, text):
        send(self.room, {"type": "message", "text": text})
        check("the message of its own", self.hear(), text)

    def hear(self):
        return receive(self.room)["text"]


def tolmach(*arguments, code=0, data=None, more=None):
    """What a command prints, with more options; fails if it ends with another code."""
    folder, options = ["--data", data] if data else [], os.environ | (more or {})
    done = subprocess.run([BINARY, *arguments, *folder], env=options, capture_output=True, text=True, timeout=TIMEOUT * 4)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def process(arguments, wanted, more=None):
    """A command that runs beside the story, with more options; gives an address of its ready line. Ends by SIGTERM."""
    options = {"TOLMACH__HTTP__LISTEN": "127.0.0.1:0", "TOLMACH__TCP__SNDMSG__LISTEN": "127.0.0.1:0", "TOLMACH__AUTH__BCRYPT_COST": "4"}
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TOLMACH")}
    started = subprocess.Popen([BINARY, *arguments], env=bare | options | (more or {}), stdout=subprocess.PIPE, text=True)
    try:
        ready = started.stdout.readline()
        words = dict(word.split("=", 1) for word in ready.split() if "=" in word)
        assert ready.startswith("ready ") and wanted in words, f"{arguments}: {ready!r}"
        yield words[wanted]
        started.send_signal(signal.SIGTERM)
        assert started.wait(TIMEOUT) == 0, f"{arguments} ended with {started.returncode}"
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


def eventually(name, attempt):
    """Waits until something holds: gateways follow a change of rules within two seconds."""
    end = time.monotonic() + TIMEOUT
    while not attempt():
        assert time.monotonic() < end, f"{name}: not within {TIMEOUT} s"
        time.sleep(0.05)


def database(folder):
    path = os.path.join(folder, "uchat.db")
    with open(os.path.join(PROJECT, "tests", "import", "uchat.sql")) as script, contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(script.read())
    return f"sqlite:{path}"


def look_ahead():
    table = tolmach("translate", OLD, NEW, "--table")
    assert "A client can no longer delete a message." in table, table
    assert "A client can no longer log in" not in table, table
    step("1 the table of losses")


def capture_and_compare(folder, url):
    """The old server is played by a gateway with the old data; so is the one that the capture is tried on."""
    old, trial, capture = (os.path.join(folder, name) for name in ["old", "trial", "capture.jsonl"])
    for data in [old, trial]:
        tolmach("import", "--from", "uchat", url, data=data)
    with process(["serve", "--data", old], "sndmsg-tcp") as server:
        record = ["record", "--upstream", f"tcp://{server}", "--listen", "127.0.0.1:0", "--output", capture, "--dialect", OLD, "--data", old]
        with process(record, "tcp") as proxy, contextlib.ExitStack() as stack:
            ann = Uchat(stack, proxy)
            check("Ann's login", ann.log_in("ann"), 0)
            check("Ann's room", ann.read(len(MESSAGES)), MESSAGES)
            check("Ann's message", ann.write("ann", "what becomes of this?"), 0)
    with open(capture) as file:
        text = file.read()
    assert PASSWORDS["ann"] not in text and '"form":"tolmach-capture/1"' in text, text
    step("2 a capture without passwords")
    translated = subprocess.run([BINARY, "translate", OLD, NEW, capture, "--format", "text"], capture_output=True, text=True, timeout=TIMEOUT)
    assert translated.returncode in (0, 1) and "> POST /api/v1/login" in translated.stdout, translated
    step("2 the capture in the new dialect")
    credentials = os.path.join(folder, "credentials.jsonl")
    with open(credentials, "w") as file:
        file.writelines(json.dumps({"login": name, "password": password}) + "\n" for name, password in PASSWORDS.items())
    with process(["serve", "--data", trial], "sndmsg-tcp") as server:
        tolmach("replay", capture, "--to", f"tcp://{server}", "--credentials", credentials, "--diff")
    step("3 the replay, without a difference")


def bring_along(url):
    dry = tolmach("import", "--dry-run", "--from", "uchat", url)
    assert "dry run" in dry, dry
    tolmach("import", "--from", "uchat", url)
    step("4 users, rooms and messages")


def run_both(folder):
    """The new gateway stands before the old server, and a canary is taken back. Eve is known to the old server only, so that her login tells who serves it."""
    old, trial = (os.path.join(folder, name) for name in ["old", "trial"])
    with process(["serve", "--data", old], "sndmsg-tcp") as server, contextlib.ExitStack() as stack:
        eve = Uchat(stack, server)
        eve.send(**{"type": 1, "login": EVE, "pass": EVE})
        check("Eve's registration", eve.receive()["status"], 0)
        more = {"TOLMACH__BRIDGE__OLD__URL": f"tcp://{server}", "TOLMACH__BRIDGE__OLD__DIALECT": OLD}
        with process(["serve", "--data", trial], "sndmsg-tcp", more) as gateway:

            def is_old():
                with contextlib.ExitStack() as attempt:
                    client = Uchat(attempt, gateway)
                    client.send(**{"type": 0, "login": EVE, "pass": EVE})
                    return client.receive()["status"] == 0

            def route(*arguments):
                tolmach("route", *arguments, data=trial, more=more)

            assert not is_old()
            route("all", "--to", "old")
            eventually("the old server", is_old)
            route("canary", "--share", "100", "--to", "here")
            eventually("the new server", lambda: not is_old())
            step("4 a canary")
            route("rollback")
            eventually("the old server again", is_old)
            with contextlib.ExitStack() as attempt:
                check("Ann's login, at the old server", Uchat(attempt, gateway).log_in("ann"), 0)
            step("4 a way back")


def switch():
    """Ann gets the new client, goes back to the old one, and comes again; Bob follows later."""
    address = os.environ["TOLMACH_SNDMSG_TCP"]
    with contextlib.ExitStack() as stack:
        bob = Uchat(stack, address)
        check("Bob's login", bob.log_in("bob"), 0)
        check("Bob's room", bob.read(len(MESSAGES)), MESSAGES)
        with contextlib.ExitStack() as new:
            ann = Bearer(new, "ann")
            check("Ann's room in the new client", ann.texts, MESSAGES)
            ann.write("from the new client")
            check("what Bob hears in the old one", bob.receive()["message"], "from the new client")
            check("Bob's message", bob.write("bob", "from the old client"), 0)
            check("what Ann hears in the new one", ann.hear(), "from the old client")
        step("5 Ann in the new client, Bob in the old one")
        both = [*MESSAGES, "from the new client", "from the old client"]
        with contextlib.ExitStack() as back:
            ann = Uchat(back, address)
            check("Ann's login with the old client", ann.log_in("ann"), 0)
            check("Ann's room in the old client again", ann.read(len(both)), both)
            check("Ann's message", ann.write("ann", "back again"), 0)
            check("what Bob hears", bob.receive()["message"], "back again")
        step("5 a way back")
    with contextlib.ExitStack() as stack:
        for name in PASSWORDS:
            check(f"{name}'s room in the new client", Bearer(stack, name).texts, [*both, "back again"])
    step("5 Ann and Bob in the new client")


def watch():
    ledger = ["ledger", "--dialect", OLD, "--target", NEW]

    def is_written():
        table = tolmach(*ledger)
        return "ann" in table and "bob" in table

    eventually("the ledger", is_written)
    cut_off = tolmach("sunset", OLD, "--simulate", code=1)
    assert "ann" in cut_off and "bob" in cut_off, cut_off
    step("6 who would be cut off")


def retire():
    def is_served():
        with contextlib.ExitStack() as stack, contextlib.suppress(ConnectionError):
            return Uchat(stack, os.environ["TOLMACH_SNDMSG_TCP"]).log_in("bob") == 0
        return False

    tolmach("lifecycle", "deprecate", OLD, "--sunset", "2100-01-01")
    assert is_served()
    for refuse in [["brownout", OLD, "--window", "2000-01-01T00:00:00Z/2100-01-01T00:00:00Z"], ["refuse", OLD]]:
        tolmach("lifecycle", *refuse)
        eventually("the refusal", lambda: not is_served())
        step(f"7 {refuse[0]}")
        if refuse[0] == "brownout":
            tolmach("lifecycle", "clear", OLD)
            eventually("the way back", is_served)
            step("7 a way back")
    with contextlib.ExitStack() as stack:
        Bearer(stack, "bob").write("all is well")
    step("7 the new client goes on")


def main():
    with tempfile.TemporaryDirectory() as folder:
        url = database(folder)
        look_ahead()
        capture_and_compare(folder, url)
        run_both(folder)
        bring_along(url)
        switch()
        watch()
        retire()


if __name__ == "__main__":
    main()
