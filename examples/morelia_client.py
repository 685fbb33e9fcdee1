#!/usr/bin/env python3
"""A tiny client of the dialect `morelia`: one WebSocket, JSON both ways, the user's `auth_id` in each request.

    pip install websockets
    python examples/morelia_client.py --name ann --password secret
    python examples/morelia_client.py --name ann --password secret --say "Hello"

It logs in, registering first where there is no such account, says something in each flow if asked to, and shows every flow
with its messages. The dialect has no method that opens a flow: another dialect does. protocols/morelia/SPEC.md describes
the wire.
"""

import argparse
import json
import random
import time

from websockets.sync.client import connect


class MoreliaClient:
    """One connection. A push is told from a reply by its `meta`; here there is no use for it."""

    def __init__(self, socket):
        self.socket = socket
        self.user = None

    def ask(self, method, user=None, **data):
        """The data of the reply and what came of the request."""
        data = {**data, "user": user or self.user, "meta": None}
        self.socket.send(json.dumps({"type": method, "data": data, "jsonapi": {"version": 1.0}, "meta": None}))
        while True:
            reply = json.loads(self.socket.recv())
            if reply["meta"] is None:
                return reply["data"], reply["errors"]

    def log_in(self, name, password):
        account = {"login": name, "password": password}
        data, errors = self.ask("auth", account)
        if errors["code"] == 401:
            data, errors = self.ask("register_user", {**account, "username": name})
        if errors["code"] != 200:
            raise SystemExit(f"{name} cannot log in: {errors['detail']}")
        self.user = data["user"]

    def say(self, flow, text):
        # The id lets the message be sent again without being stored twice.
        message = {"id": random.randrange(1, 2**53), "text": text, "time": time.time()}
        _, errors = self.ask("send_message", flow={"id": flow}, message=message)
        if errors["code"] != 200:
            raise SystemExit(f"nothing can be said: {errors['detail']}")

    def messages(self, flow):
        """What a flow holds, page by page."""
        since = 0
        while True:
            data, _ = self.ask("get_update", time=since, flow={"id": flow})
            page = several(data, "message")
            if not page:
                return
            yield from page
            since = data["time"]


def several(data, key):
    """One item stands by itself, several stand in a list, none not at all."""
    found = data.get(key, [])
    return found if isinstance(found, list) else [found]


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect morelia.")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/morelia")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--say", metavar="TEXT", help="say this in every flow")
    options = parser.parse_args()

    with connect(options.url, max_size=None) as socket:
        client = MoreliaClient(socket)
        client.log_in(options.name, options.password)
        data, _ = client.ask("all_flow")
        for flow in several(data, "flow"):
            if options.say:
                client.say(flow["id"], options.say)
            print(f"{flow['title']} ({flow['type']})")
            for message in client.messages(flow["id"]):
                if message["text"]:
                    print(f"  {message['from_user']['username']}: {message['text']}", flush=True)


if __name__ == "__main__":
    main()
