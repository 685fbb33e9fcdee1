#!/usr/bin/env python3
"""A tiny client of the dialect `bearer`: REST with an access token, and a WebSocket for each room.

    pip install websockets
    python examples/bearer_client.py --name bob --password secret
    python examples/bearer_client.py --name bob --password secret --chat-with 1 --send "Hello"

It logs in, registering first if there is no such account, and prints its id and its chats. With
--chat-with it opens the chat with that user and prints its messages instead; with --send it sends a
text there, and with --follow it goes on to print new messages. protocols/bearer/SPEC.md describes
the wire, and the gateway serves its OpenAPI description at /openapi.json.
"""

import argparse
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class BearerClient:
    def __init__(self, url):
        self.url = url.rstrip("/") + "/api/v1"
        self.token = None

    def request(self, method, path, body=None, content_type="application/json"):
        """The status and the JSON of a response."""
        headers = {"Content-Type": content_type} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            with urlopen(Request(self.url + path, body, headers, method=method)) as response:
                return response.status, json.load(response)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def log_in(self, name, password):
        status, pair = self.request("POST", "/login", {"username": name, "password": password})
        if status == 401:
            account = {"username": name, "password": password, "email": f"{name}@example.org"}
            status, pair = self.request("POST", "/register", account)
        if status != 200:
            raise SystemExit(f"{name} cannot log in: {pair['error']}")
        self.token = pair["access_token"]
        status, _ = self.request("GET", "/user")
        if status == 404:
            self.fill_in_profile(name)

    def fill_in_profile(self, name):
        profile = json.dumps({"username": name, "name": name.capitalize(), "description": ""})
        boundary = "----profile"
        form = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
            f"{profile}\r\n--{boundary}--\r\n"
        )
        content_type = f"multipart/form-data; boundary={boundary}"
        status, reply = self.request("POST", "/user", form.encode(), content_type)
        if status != 200:
            raise SystemExit(f"{name} gets no profile: {reply['error']}")

    def enter(self, path):
        address = self.url.replace("http", "ws", 1) + path
        return connect(address, additional_headers={"Authorization": f"Bearer {self.token}"})


def show(message):
    print(f"  {message['author']['name']}: {message['text']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A tiny client of the dialect bearer.")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--name", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--chat-with", type=int, metavar="ID", help="open the chat with this user")
    parser.add_argument("--send", metavar="TEXT", help="send this to that chat")
    parser.add_argument("--follow", action="store_true", help="go on to print new messages")
    options = parser.parse_args()

    client = BearerClient(options.url)
    client.log_in(options.name, options.password)
    _, user = client.request("GET", "/user")
    print(f"id {user['id']}")
    if options.chat_with is None:
        _, chats = client.request("GET", "/chats")
        for room in chats["rooms"]:
            print(f"{room['name']} ({room['type']})")
        return
    status, opened = client.request("POST", f"/chat/{options.chat_with}")
    if status != 200:
        raise SystemExit(f"no chat with {options.chat_with}: {opened['error']}")
    with client.enter(f"/chat/{opened['chat']['id']}") as room:
        history = json.loads(room.recv())
        for message in reversed(history["messages"]):
            show(message)
        if options.send:
            room.send(json.dumps({"type": "message", "text": options.send}))
        try:
            while options.send or options.follow:
                frame = json.loads(room.recv())
                if frame["type"] == "message":
                    show(frame)
                    # A message comes back to its sender once it is stored.
                    if frame["text"] == options.send and not options.follow:
                        break
        except (ConnectionClosed, KeyboardInterrupt):
            pass


if __name__ == "__main__":
    main()
