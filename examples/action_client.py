#!/usr/bin/env python3
"""A tiny client of the dialect `action`: one WebSocket whose handshake has a token, and one room at a time.

    pip install websockets
    TOKEN=$(tolmach token ann)
    python examples/action_client.py --token "$TOKEN"
    python examples/action_client.py --token "$TOKEN" --say "Hello"

It lists the rooms with their newest messages and says something in each if asked to; with --listen it goes on to print
what is said in the first one. The dialect has no logging in and no opening of rooms: `tolmach token` and `bearer` hand out
tokens, other dialects open rooms. protocols/action/SPEC.md describes the wire.
"""

import argparse
import itertools
import json

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


class ActionClient:
    """One connection. What others do comes between the answers, and has not the `request_id` that is waited for."""

    def __init__(self, socket):
        self.socket = socket
        self.numbers = itertools.count(1)

    def ask(self, action, **fields):
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
    print(f"  {names.get(message['user']['id'], 'somebody')}: {message['text']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect action.")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws/chat/", help="or /ws/admin-chat/, for administrators")
    parser.add_argument("--token", required=True)
    parser.add_argument("--say", metavar="TEXT", help="say this in every room")
    parser.add_argument("--listen", action="store_true", help="go on to print what is said in the first room")
    options = parser.parse_args()

    headers = {"Authorization": f"Bearer {options.token}", "Origin": "http://localhost"}
    try:
        socket = connect(options.url, additional_headers=headers)
    except InvalidStatus as refusal:
        raise SystemExit(f"the handshake was answered with {refusal.response.status_code}") from None
    with socket:
        client = ActionClient(socket)
        rooms = client.ask("list")
        for room in rooms:
            print(f"room {room['id']}: {', '.join(person['fullname'] for person in room['participants'])}")
            if room["last_message"]:
                show(room, room["last_message"])
            if options.say:
                client.ask("join_room", room_pk=room["id"])
                show(room, client.ask("create_message", msg_text=options.say))
        if options.listen and rooms:
            client.ask("join_room", room_pk=rooms[0]["id"])
            print("listening", flush=True)
            try:
                for frame in map(json.loads, socket):
                    if frame["action"] == "create_message":
                        show(rooms[0], frame["data"])
            except (ConnectionClosed, KeyboardInterrupt):
                pass


if __name__ == "__main__":
    main()
