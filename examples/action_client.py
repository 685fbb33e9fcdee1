#!/usr/bin/env python3
"""A tiny client of the dialect `action`: one WebSocket with a token, and one room at a time.

    pip install websockets
    TOKEN=$(tolmach token ann)
    python examples/action_client.py --token "$TOKEN"
    python examples/action_client.py --token "$TOKEN" --send "Hello"

It lists the rooms with their newest messages. With --send it sends a text to each room; with
--follow it goes on to print new messages of the first one. The dialect has no requests to log in or
to create a room: `tolmach token` and `bearer` issue tokens, other dialects create rooms.
protocols/action/SPEC.md describes the wire.
"""

import argparse
import itertools
import json

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


class ActionClient:
    """One connection. Frames about other users come between the responses, with other values of
    `request_id`."""

    def __init__(self, socket):
        self.socket = socket
        self.numbers = itertools.count(1)

    def request(self, action, **fields):
        number = next(self.numbers)
        self.socket.send(json.dumps({"action": action, **fields, "request_id": number}))
        while True:
            frame = json.loads(self.socket.recv())
            if (frame["action"], frame["request_id"]) == (action, number):
                break
        if frame["response_status"] >= 400:
            raise SystemExit(f"{action}: {', '.join(frame['errors'])}")
        return frame["data"]


def show(room, message):
    names = {person["id"]: person["fullname"] for person in room["participants"]}
    author = names.get(message["user"]["id"], "(not a participant)")
    print(f"  {author}: {message['text']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect action.")
    parser.add_argument(
        "--url",
        default="ws://127.0.0.1:8080/ws/chat/",
        help="or /ws/admin-chat/, for administrators",
    )
    parser.add_argument("--token", required=True)
    parser.add_argument("--send", metavar="TEXT", help="send this to every room")
    parser.add_argument(
        "--follow", action="store_true", help="go on to print new messages of the first room"
    )
    options = parser.parse_args()

    headers = {"Authorization": f"Bearer {options.token}", "Origin": "http://localhost"}
    try:
        socket = connect(options.url, additional_headers=headers)
    except InvalidStatus as error:
        status = error.response.status_code
        raise SystemExit(f"the handshake was answered with {status}") from None
    with socket:
        client = ActionClient(socket)
        rooms = client.request("list")
        for room in rooms:
            names = ", ".join(person["fullname"] for person in room["participants"])
            print(f"room {room['id']}: {names}")
            if room["last_message"]:
                show(room, room["last_message"])
            if options.send:
                client.request("join_room", room_pk=room["id"])
                show(room, client.request("create_message", msg_text=options.send))
        if options.follow and rooms:
            client.request("join_room", room_pk=rooms[0]["id"])
            print("waiting for messages", flush=True)
            try:
                for frame in map(json.loads, socket):
                    if frame["action"] == "create_message":
                        show(rooms[0], frame["data"])
            except (ConnectionClosed, KeyboardInterrupt):
                pass


if __name__ == "__main__":
    main()
