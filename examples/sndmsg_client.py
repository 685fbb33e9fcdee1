#!/usr/bin/env python3
"""A tiny client of the dialect `sndmsg`: one WebSocket, JSON both ways, one login a connection.

    pip install websockets
    python examples/sndmsg_client.py --name ann --password secret
    python examples/sndmsg_client.py --name ann --password secret --chat-with bob --send "Hello"

It logs in, signing up first if there is no such account, and prints every room with its messages.
With --chat-with it opens the room with that user first, with --send it sends a text to each room,
and with --follow it goes on to print new messages. protocols/sndmsg/SPEC.md describes the wire.
"""

import argparse
import json

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class SndmsgClient:
    """One connection. Pushes before a reply have another type than it, or are READ_MSG."""

    def __init__(self, socket):
        self.socket = socket

    def request(self, kind, reply=None, **fields):
        self.socket.send(json.dumps({"type": kind, **fields}))
        while True:
            frame = json.loads(self.socket.recv())
            if frame["type"] == (reply or kind):
                return frame

    def log_in(self, name, password):
        account = {"login": name, "pass": password}
        found = self.request("REQUEST_LOGIN", "RESPONSE_LOGIN", **account)
        if found["status"] != "LOGIN_OK":
            self.request("REQUEST_SIGNUP", "RESPONSE_SIGNUP", **account)
            found = self.request("REQUEST_LOGIN", "RESPONSE_LOGIN", **account)
        if found["status"] != "LOGIN_OK":
            raise SystemExit(f"{name} cannot log in: {found['status']}")

    def read(self, room):
        """The messages of a room. No frame is marked as the last one, so that a search without a
        result is sent behind: its reply comes after them."""
        self.socket.send(json.dumps({"type": "READ_MSG", "read": "ALL", "room_id": room}))
        self.socket.send(json.dumps({"type": "SEARCH_USER", "user": ""}))
        found = {}
        while (frame := json.loads(self.socket.recv()))["type"] != "SEARCH_USER":
            if frame["type"] == "READ_MSG" and frame.get("room_id") == room and "message" in frame:
                found[frame["message_id"]] = frame
        return found.values()


def show(message):
    print(f"  {message['sender']}: {message['message']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect sndmsg.")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/sndmsg")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--chat-with", metavar="NAME", help="open the room with this user")
    parser.add_argument("--send", metavar="TEXT", help="send this to every room")
    parser.add_argument("--follow", action="store_true", help="go on to print new messages")
    options = parser.parse_args()

    with connect(options.url) as socket:
        client = SndmsgClient(socket)
        client.log_in(options.name, options.password)
        if options.chat_with:
            room = client.request("CREATE_ROOM", username=options.name, customer=options.chat_with)
            if "id" not in room:
                raise SystemExit(f"no room with {options.chat_with}: {room['detail']}")
        rooms = client.request("OLD_DIALOGS", username=options.name)
        for title, room in zip(rooms["dialogs"], rooms["id"]):
            if options.send:
                client.request(
                    "SND_MSG",
                    username=options.name,
                    room_id=room,
                    message=options.send,
                    msg_type="TEXT",
                )
            print(title)
            for message in client.read(room):
                show(message)
        if options.follow:
            print("waiting for messages", flush=True)
            try:
                for frame in map(json.loads, socket):
                    if frame["type"] == "READ_MSG":
                        show(frame)
            except (ConnectionClosed, KeyboardInterrupt):
                pass


if __name__ == "__main__":
    main()
