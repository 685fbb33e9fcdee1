#!/usr/bin/env python3
"""The example clients as a newcomer would run them, one conversation over all dialects. Starts a gateway of its own."""

import os
import subprocess
import sys

import _gateway

_gateway.ensure()
URL = os.environ["TOLMACH_URL"]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples")


def client(dialect, name, *arguments):
    """The lines that a client prints."""
    url = URL if dialect == "bearer" else f"{URL.replace('http', 'ws', 1)}/{'ws/chat/' if dialect == 'action' else dialect}"
    who = ["--token", token(name)] if dialect == "action" else ["--name", name, "--password", "secret"]
    return lines(sys.executable, os.path.join(EXAMPLES, f"{dialect}_client.py"), "--url", url, *who, *arguments)


def token(name):
    [found] = lines(os.environ["TOLMACH_BIN"], "token", name)
    return found


def lines(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.splitlines()


def check(found, expected):
    assert found == expected, f"{found} is not {expected}"


def main():
    check(client("mode", "ann"), [])
    [ann] = client("bearer", "ann")
    number = ann.removeprefix("id ")
    [bob, line] = client("bearer", "bob", "--chat-with", number, "--send", "Hello from bearer")
    check(line, "  Bob: Hello from bearer")
    chat = ["bob (personal)", "  bob: Hello from bearer", "  ann: Hello from mode"]
    check(client("mode", "ann", "--send", "Hello from mode"), chat)
    check(client("mode", "ann"), chat)
    check(client("bearer", "bob", "--chat-with", number), [bob, line, "  ann: Hello from mode"])
    check(client("bearer", "ann"), [ann, "Bob (private)"])
    check(client("sndmsg", "ann", "--send", "Hello from sndmsg"), ["bob", *chat[1:], "  ann: Hello from sndmsg"])
    flow = client("morelia", "bob", "--send", "Hello from morelia")
    check(flow, ["ann (chat)", *chat[1:], "  ann: Hello from sndmsg", "  bob: Hello from morelia"])
    room = client("action", "ann", "--send", "Hello from action")
    check(room, [room[0], "  Bob: Hello from morelia", "  ann: Hello from action"])
    check(client("sndmsg", "carl", "--chat-with", "ann", "--send", "Hi"), ["ann", "  carl: Hi"])
    check(client("morelia", "carl"), ["ann (chat)", "  carl: Hi"])
    print("the examples understand each other")


if __name__ == "__main__":
    main()
