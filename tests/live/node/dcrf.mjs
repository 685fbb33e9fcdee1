// Drives the dialect `action` with dcrf-client, the public client library of the original server. ../dcrf.sh starts it.
//
// The library wraps its frames as {stream, payload}, and the dialect does not: the serializer removes the wrapper from frames
// that are sent and adds it to frames that are received. The class of the socket has the headers of the handshake.

import assert from "node:assert/strict";
import library from "dcrf-client";
import WebSocket from "ws";

// A CommonJS module: its default export is one level down.
const { default: dcrf } = library;
const { TOLMACH_URL: gateway, DCRF_ANN: annsToken, DCRF_BOB: bobsToken, DCRF_ROOM: room } = process.env;
const url = `${gateway.replace(/^http/, "ws")}/ws/chat/`;
const roomPk = Number(room);
const STREAM = "chat";
// Milliseconds.
const TIMEOUT = 30_000;
const alarm = setTimeout(() => {
  console.error(`not done after ${TIMEOUT / 1000} s`);
  process.exit(1);
}, TIMEOUT);

/** A socket with these headers in its handshake; calls `refused` with the status of a refusal. */
function socketWith(headers, refused = () => {}) {
  return class extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { headers });
      this.on("unexpected-response", (request, response) => {
        refused(response.statusCode);
        request.destroy();
      });
    }
  };
}

/** A client of the library, with the plain frames that it has received. */
function connect(headers, refused) {
  const received = [];
  const serializer = {
    serialize: ({ payload }) => JSON.stringify(payload),
    deserialize: (text) => {
      const payload = JSON.parse(text);
      received.push(payload);
      return { stream: STREAM, payload };
    },
  };
  const websocket = { WebSocket: socketWith(headers, refused), maxRetries: 0 };
  const client = dcrf.connect(url, { serializer, websocket });
  let last = 1_500_000;
  return {
    client,
    received,
    /** The data of a granted request; a refusal is thrown as its frame. */
    request: (action, fields = {}) => client.request(STREAM, { action, ...fields }, (last += 1)),
    /** The next frame of this action, of any request. */
    next: (action) =>
      new Promise((resolve) => client.dispatcher.once({ stream: STREAM, payload: { action } }, ({ payload }) => resolve(payload))),
  };
}

const login = (token) => ({ Authorization: `Bearer ${token}`, Origin: gateway });

/** The status that a handshake is refused with. */
function refusal(headers) {
  return new Promise((resolve) => {
    const { client } = connect(headers, (status) => {
      client.close();
      resolve(status);
    });
    client.transport.on("connect", () => resolve("connected"));
  });
}

async function refused(promise, status, errors) {
  const frame = await promise.then(
    (data) => assert.fail(`granted: ${JSON.stringify(data)}`),
    (problem) => problem,
  );
  if (frame instanceof Error) throw frame;
  assert.equal(frame.response_status, status);
  assert.equal(frame.data, null);
  if (errors) assert.deepEqual(frame.errors, errors);
  else assert.ok(frame.errors.length > 0);
}

assert.equal(await refusal({ Origin: gateway }), 403, "without a token");
assert.equal(await refusal({ Authorization: `Bearer ${annsToken}` }), 403, "without an origin");
assert.equal(await refusal(login("invalid")), 403, "with a wrong token");

const ann = connect(login(annsToken));
const bob = connect(login(bobsToken));

// The library's own `list` sends a key `data` that the action does not have.
const rooms = await ann.client.list(STREAM);
assert.deepEqual(rooms.map(({ pk, id }) => [pk, id]), [[roomPk, roomPk]]);
// Contact data of a stranger, with whom nothing was exchanged yet, is not shown.
assert.deepEqual(rooms[0].participants.map(({ user }) => user.email).sort(), ["ann@example.org", null]);
assert.equal(rooms[0].last_message, null);
assert.deepEqual((await bob.request("list")).map(({ pk }) => pk), [roomPk]);

await refused(ann.request("create_message", { msg_text: "too early" }), 400, ["Action not allowed. You are not in the room!"]);
await refused(ann.request("join_room", { room_pk: roomPk + 404 }), 403, ["You cannot enter a room you are not a member of"]);
await refused(ann.request("nothing_such"), 405, ['Method "nothing_such" not allowed.']);

for (const each of [ann, bob]) {
  const joined = await each.request("join_room", { room_pk: roomPk });
  assert.equal(joined.pk, roomPk);
  assert.equal(joined.participants.length, 2);
  assert.equal(joined.last_message, null);
}

let push = bob.next("create_message");
const text = 'hello, "мир" 🌍';
const written = await ann.request("create_message", { msg_text: text });
assert.equal(written.text, text);
assert.equal(written.user.email, null);
assert.equal(written.room.pk, roomPk);
assert.match(written.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
// All receive the same frame, with the request_id of its author.
assert.deepEqual(await push, ann.received.at(-1));
assert.equal(ann.received.at(-1).response_status, 201);

const info = await bob.request("current_room_info");
assert.equal(info.pk, roomPk);
assert.equal(info.last_message.id, written.id);
assert.equal(info.last_message.text, text);

push = bob.next("edit_message");
const edited = await ann.request("edit_message", { msg_id: written.id, edited_msg_text: "edit" });
assert.deepEqual(edited, { room_id: roomPk, message_id: written.id, message_text: "edit" });
assert.deepEqual(await push, ann.received.at(-1));
await refused(bob.request("edit_message", { msg_id: written.id, edited_msg_text: "mine" }), 404);
assert.equal((await bob.request("current_room_info")).last_message.text, "edit");

await refused(bob.request("delete_messages", { msg_id_list: [written.id] }), 404);
push = ann.next("create_message");
const answer = await bob.request("create_message", { msg_text: "answer" });
await push;
// Of two messages only her own is deleted, and only the frame to her names the other one.
push = bob.next("delete_messages");
const deleted = await ann.request("delete_messages", { msg_id_list: [written.id, answer.id] });
assert.deepEqual(deleted, { room_id: roomPk, messages_ids: [written.id] });
assert.deepEqual(ann.received.at(-1).errors, [`Not all of the requested messages were deleted! Left: ${answer.id}`]);
assert.deepEqual(await push, { ...ann.received.at(-1), errors: [] });
assert.equal((await ann.request("current_room_info")).last_message.id, answer.id);

assert.deepEqual(await ann.request("leave_room"), { response: `leaved room ${roomPk} successfully!` });
await refused(ann.request("leave_room"), 400, ["Action 'leave_room' not allowed. You are not in the room"]);
// After leaving, the next frame is the answer to the next request.
const before = ann.received.length;
await bob.request("create_message", { msg_text: "alone" });
await ann.request("list");
assert.deepEqual(ann.received.slice(before).map(({ action }) => action), ["list"]);

for (const frame of [...ann.received, ...bob.received]) {
  assert.deepEqual(Object.keys(frame), ["errors", "data", "action", "response_status", "request_id"]);
}
ann.client.close();
bob.client.close();
clearTimeout(alarm);
console.log(`dcrf-client: ${ann.received.length + bob.received.length} frames as expected`);
