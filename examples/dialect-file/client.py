#!/usr/bin/env python3
"""A tiny client of the dialect `parley`, which a file alone describes.

    pip install websockets
    python3 client.py --name ann --password secret
    python3 client.py --name ann --password secret --chat-with bob --send "Hello" --follow

It enters, joining first if there is no such person, and prints every room with its lines.
"""

import argparse
import itertools
import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class ParleyClient:
    """One connection. A response has the number of its request; events come between."""

    def __init__(self, socket):
        self.socket = socket
        self.numbers = itertools.count(1)

    def request(self, name, **fields):
        number = next(self.numbers)
        self.socket.send(json.dumps({"do": name, "no": number, **fields}))
        while True:
            frame = json.loads(self.socket.recv())
            if frame.get("no") == number:
                return frame

    def granted(self, name, **fields):
        response = self.request(name, **fields)
        if not response["ok"]:
            raise SystemExit(f"{name}: {response['hint']}")
        return response


def show(line):
    print(f"  {line['from']}: {line['text']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect parley.")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/parley")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--chat-with", metavar="NAME", help="open the room with this person")
    parser.add_argument("--send", metavar="TEXT", help="say this in every room")
    parser.add_argument("--follow", action="store_true", help="go on to print new lines")
    options = parser.parse_args()

    with connect(options.url) as socket:
        client = ParleyClient(socket)
        account = {"person": options.name, "password": options.password}
        if not client.request("enter", **account)["ok"]:
            client.granted("join", **account)
        if options.chat_with:
            client.granted("meet", person=options.chat_with)
        for room in client.granted("rooms")["rooms"]:
            if options.send:
                client.granted("say", room=room["room"], text=options.send)
            print(room["title"])
            for line in client.granted("lines", room=room["room"], count=50)["lines"]:
                show(line)
        if options.follow:
            print("waiting for lines", flush=True)
            try:
                for frame in map(json.loads, socket):
                    if frame.get("event") == "said":
                        show(frame)
            except (ConnectionClosed, KeyboardInterrupt):
                pass


if __name__ == "__main__":
    main()
