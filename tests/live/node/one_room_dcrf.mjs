// dcrf-client with its wrapper in a room, for python/story_one_room.py: prints each text that is heard as a line of JSON, and sends
// each line of standard input.

import readline from "node:readline";
import library from "dcrf-client";
import WebSocket from "ws";

// A CommonJS module: its default export is one level down.
const { default: dcrf } = library;
const { TOLMACH_SOCKETS: sockets, TOLMACH_TOKEN: token, TOLMACH_ROOM: room } = process.env;
const STREAM = "chat";
const print = (value) => console.log(JSON.stringify(value));

// As in a browser: no header of the handshake can be set, the token is the last subprotocol.
class Socket extends WebSocket {
  constructor(address) {
    super(address, ["chat", token]);
  }
}

const client = dcrf.connect(`${sockets}/ws/chat/`, { websocket: { WebSocket: Socket, maxRetries: 0 } });
client.dispatcher.listen({ stream: STREAM, payload: { action: "create_message" } }, ({ payload }) => print(payload.data.text));

const joined = await client.request(STREAM, { action: "join_room", room_pk: Number(room) });
if (joined.pk !== Number(room)) throw new Error(JSON.stringify(joined));
print("entered");

for await (const line of readline.createInterface({ input: process.stdin })) {
  const text = JSON.parse(line);
  const written = await client.create(STREAM, { text });
  if (written.text !== text) throw new Error(JSON.stringify(written));
}
client.close();
