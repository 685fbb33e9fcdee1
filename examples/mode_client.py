#!/usr/bin/env python3
"""A tiny client of the dialect `mode`: one WebSocket, JSON both ways, a token in each request.

    pip install websockets
    python examples/mode_client.py --name ann --password secret
    python examples/mode_client.py --name ann --password secret --send "Hello"

It logs in, registering first if there is no such account, and prints every chat with its messages.
With --send it sends a text to each chat; with --follow it goes on to print new messages.
protocols/mode/SPEC.md describes the wire.
"""

import argparse
import json
import time
from collections import deque

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class ModeClient:
    """One connection. Replies come in the order of the requests; frames that are pushed in between
    wait in `pushed`."""

    def __init__(self, socket):
        self.socket = socket
        self.token = None
        self.pushed = deque()

    def request(self, mode, **fields):
        request = {"mode": mode, "timestamp": time.time(), **fields}
        if self.token:
            request["token"] = self.token
        self.socket.send(json.dumps(request))
        while True:
            frame = json.loads(self.socket.recv())
            # Pushes have a chat_id, replies have none.
            if "chat_id" not in frame:
                return frame
            self.pushed.append(frame)

    def log_in(self, name, password):
        reply = self.request("auth", username=name, password=password)
        if reply["status"] == 401:
            reply = self.request("register", username=name, password=password, email=None)
        if reply["status"] != 200:
            raise SystemExit(f"{name} cannot log in: {reply['error_msg']}")
        self.token = reply["token"]

    def pushes(self):
        while True:
            yield self.pushed.popleft() if self.pushed else json.loads(self.socket.recv())


def show(messages):
    for message in messages:
        print(f"  {message['from_name']}: {message['content']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect mode.")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/mode")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--send", metavar="TEXT", help="send this to every chat")
    parser.add_argument("--follow", action="store_true", help="go on to print new messages")
    options = parser.parse_args()

    with connect(options.url) as socket:
        client = ModeClient(socket)
        client.log_in(options.name, options.password)
        for chat in client.request("getChats")["chats"]:
            if options.send:
                client.request(
                    "sendMessage",
                    chat_id=chat["chat_id"],
                    content=options.send,
                    content_type="text",
                )
            print(f"{chat['chat_name']} ({chat['chat_type']})")
            show(client.request("getMessages", chat_id=chat["chat_id"])["messages"])
        if options.follow:
            print("waiting for messages", flush=True)
            try:
                for push in client.pushes():
                    show(push["messages"])
            except (ConnectionClosed, KeyboardInterrupt):
                pass


if __name__ == "__main__":
    main()
