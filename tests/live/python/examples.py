#!/usr/bin/env python3
"""The example clients as a newcomer would run them, one conversation over both dialects. Starts a gateway of its own."""

import os
import subprocess
import sys

import _gateway

_gateway.ensure()
URL = os.environ["TOLMACH_URL"]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples")


def client(dialect, name, *arguments):
    """The lines that a client prints."""
    url = {"mode": URL.replace("http", "ws", 1) + "/mode", "bearer": URL}[dialect]
    script = os.path.join(EXAMPLES, f"{dialect}_client.py")
    command = [sys.executable, script, "--url", url, "--name", name, "--password", "secret", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.splitlines()


def check(found, expected):
    assert found == expected, f"{found} is not {expected}"


def main():
    check(client("mode", "ann"), [])
    [ann] = client("bearer", "ann")
    number = ann.removeprefix("id ")
    [bob, said] = client("bearer", "bob", "--chat-with", number, "--say", "Hello from bearer")
    check(said, "  Bob: Hello from bearer")
    chat = ["bob (personal)", "  bob: Hello from bearer", "  ann: Hello from mode"]
    check(client("mode", "ann", "--say", "Hello from mode"), chat)
    check(client("mode", "ann"), chat)
    check(client("bearer", "bob", "--chat-with", number), [bob, said, "  ann: Hello from mode"])
    check(client("bearer", "ann"), [ann, "Bob (private)"])
    print("the examples understand each other")


if __name__ == "__main__":
    main()
