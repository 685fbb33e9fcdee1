#!/usr/bin/env python3
"""A tiny client of the dialect `morelia`: one WebSocket, JSON both ways, a token in each request.

    pip install websockets
    python examples/morelia_client.py --name ann --password secret
    python examples/morelia_client.py --name ann --password secret --send "Hello"

It logs in, registering first if there is no such account, and prints every flow with its messages.
With --send it sends a text to each flow first. The dialect has no method that creates a flow: other
dialects do. protocols/morelia/SPEC.md describes the wire.
"""

import argparse
import json
import random
import time

from websockets.sync.client import connect


class MoreliaClient:
    """One connection. Pushes, which have a `meta`, are skipped."""

    def __init__(self, socket):
        self.socket = socket
        self.user = None

    def request(self, method, user=None, **data):
        """The data and the errors of the reply."""
        data = {**data, "user": user or self.user, "meta": None}
        frame = {"type": method, "data": data, "jsonapi": {"version": 1.0}, "meta": None}
        self.socket.send(json.dumps(frame))
        while True:
            reply = json.loads(self.socket.recv())
            if reply["meta"] is None:
                return reply["data"], reply["errors"]

    def log_in(self, name, password):
        account = {"login": name, "password": password}
        data, errors = self.request("auth", account)
        if errors["code"] == 401:
            data, errors = self.request("register_user", {**account, "username": name})
        if errors["code"] != 200:
            raise SystemExit(f"{name} cannot log in: {errors['detail']}")
        self.user = data["user"]

    def send(self, flow, text):
        # With the same id, a message that is sent again is not stored twice.
        message = {"id": random.randrange(1, 2**53), "text": text, "time": time.time()}
        _, errors = self.request("send_message", flow={"id": flow}, message=message)
        if errors["code"] != 200:
            raise SystemExit(f"the message cannot be sent: {errors['detail']}")

    def messages(self, flow):
        """The messages of a flow, page by page."""
        since = 0
        while True:
            data, _ = self.request("get_update", time=since, flow={"id": flow})
            page = several(data, "message")
            if not page:
                return
            yield from page
            since = data["time"]


def several(data, key):
    """The items under a key: one is an object, several are a list, none is no key."""
    found = data.get(key, [])
    return found if isinstance(found, list) else [found]


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect morelia.")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/morelia")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--send", metavar="TEXT", help="send this to every flow")
    options = parser.parse_args()

    with connect(options.url, max_size=None) as socket:
        client = MoreliaClient(socket)
        client.log_in(options.name, options.password)
        data, _ = client.request("all_flow")
        for flow in several(data, "flow"):
            if options.send:
                client.send(flow["id"], options.send)
            print(f"{flow['title']} ({flow['type']})")
            for message in client.messages(flow["id"]):
                if message["text"]:
                    print(f"  {message['from_user']['username']}: {message['text']}", flush=True)


if __name__ == "__main__":
    main()
