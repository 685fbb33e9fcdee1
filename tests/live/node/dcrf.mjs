// Drives the dialect `action` with dcrf-client, the public client library of what the dialect comes from. ../dcrf.sh starts it.
//
// The library wraps its frames as {stream, payload}, which the dialect does not: the serializer takes the wrapper off what goes
// out and puts it around what comes in. The headers of the handshake are given by the class of the socket.

import assert from "node:assert/strict";
import library from "dcrf-client";
import WebSocket from "ws";

// It is no ES module: what it exports by default is one level down.
const { default: dcrf } = library;
const { TOLMACH_URL: gateway, DCRF_ANN: annsToken, DCRF_BOB: bobsToken, DCRF_ROOM: room } = process.env;
const url = `${gateway.replace(/^http/, "ws")}/ws/chat/`;
const roomPk = Number(room);
const STREAM = "chat";
// Only ever reached by a failure.
const PATIENCE = 30_000;
const alarm = setTimeout(() => {
  console.error(`not done after ${PATIENCE / 1000} s`);
  process.exit(1);
}, PATIENCE);

/** A socket that shakes hands with these headers, and tells when it was refused. */
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

/** A client of the library, with everything that it hears, as plain frames. */
function connect(headers, refused) {
  const heard = [];
  const serializer = {
    serialize: ({ payload }) => JSON.stringify(payload),
    deserialize: (text) => {
      const payload = JSON.parse(text);
      heard.push(payload);
      return { stream: STREAM, payload };
    },
  };
  const websocket = { WebSocket: socketWith(headers, refused), maxRetries: 0 };
  const client = dcrf.connect(url, { serializer, websocket });
  let last = 1_500_000;
  return {
    client,
    heard,
    /** The data of a granted request; a refusal is thrown as its frame. */
    ask: (action, fields = {}) => client.request(STREAM, { action, ...fields }, (last += 1)),
    /** The next frame that is about this action, whoever asked for it. */
    next: (action) =>
      new Promise((resolve) => client.dispatcher.once({ stream: STREAM, payload: { action } }, ({ payload }) => resolve(payload))),
  };
}

const login = (token) => ({ Authorization: `Bearer ${token}`, Origin: gateway });

/** The status of the answer to a handshake that is to fail. */
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
assert.equal(await refusal(login("nonsense")), 403, "with a wrong token");

const ann = connect(login(annsToken));
const bob = connect(login(bobsToken));

// The library's own `list` sends a key `data` that the action does not have.
const rooms = await ann.client.list(STREAM);
assert.deepEqual(rooms.map(({ pk, id }) => [pk, id]), [[roomPk, roomPk]]);
assert.deepEqual(rooms[0].participants.map(({ user }) => user.email).sort(), ["ann@example.org", "bob@example.org"]);
assert.equal(rooms[0].last_message, null);
assert.deepEqual(await bob.ask("list"), rooms);

await refused(ann.ask("create_message", { msg_text: "too early" }), 400, ["Action not allowed. You are not in the room!"]);
await refused(ann.ask("join_room", { room_pk: roomPk + 404 }), 403, ["You cannot enter a room you are not a member of"]);
await refused(ann.ask("nothing_such"), 405, ['Method "nothing_such" not allowed.']);

for (const each of [ann, bob]) {
  const joined = await each.ask("join_room", { room_pk: roomPk });
  assert.equal(joined.pk, roomPk);
  assert.equal(joined.participants.length, 2);
  assert.equal(joined.last_message, null);
}

let push = bob.next("create_message");
const text = 'hello, "мир" 🌍';
const written = await ann.ask("create_message", { msg_text: text });
assert.equal(written.text, text);
assert.equal(written.user.email, "ann@example.org");
assert.equal(written.room.pk, roomPk);
assert.match(written.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
// Everybody hears the same frame, the asker's request_id in it.
assert.deepEqual(await push, ann.heard.at(-1));
assert.equal(ann.heard.at(-1).response_status, 201);

const info = await bob.ask("current_room_info");
assert.equal(info.pk, roomPk);
assert.equal(info.last_message.id, written.id);
assert.equal(info.last_message.text, text);

push = bob.next("edit_message");
const edited = await ann.ask("edit_message", { msg_id: written.id, edited_msg_text: "edit" });
assert.deepEqual(edited, { room_id: roomPk, message_id: written.id, message_text: "edit" });
assert.deepEqual(await push, ann.heard.at(-1));
await refused(bob.ask("edit_message", { msg_id: written.id, edited_msg_text: "mine" }), 404);
assert.equal((await bob.ask("current_room_info")).last_message.text, "edit");

await refused(bob.ask("delete_messages", { msg_id_list: [written.id] }), 404);
push = ann.next("create_message");
const answer = await bob.ask("create_message", { msg_text: "answer" });
await push;
// Of two messages only her own goes, and only she is told which one was left.
push = bob.next("delete_messages");
const deleted = await ann.ask("delete_messages", { msg_id_list: [written.id, answer.id] });
assert.deepEqual(deleted, { room_id: roomPk, messages_ids: [written.id] });
assert.deepEqual(ann.heard.at(-1).errors, [`Not all of the requested messages were deleted! Left: ${answer.id}`]);
assert.deepEqual(await push, { ...ann.heard.at(-1), errors: [] });
assert.equal((await ann.ask("current_room_info")).last_message.id, answer.id);

assert.deepEqual(await ann.ask("leave_room"), { response: `leaved room ${roomPk} successfully!` });
await refused(ann.ask("leave_room"), 400, ["Action 'leave_room' not allowed. You are not in the room"]);
// Who has left hears no more: the answer to the next request is the next frame.
const before = ann.heard.length;
await bob.ask("create_message", { msg_text: "alone" });
await ann.ask("list");
assert.deepEqual(ann.heard.slice(before).map(({ action }) => action), ["list"]);

for (const frame of [...ann.heard, ...bob.heard]) {
  assert.deepEqual(Object.keys(frame), ["errors", "data", "action", "response_status", "request_id"]);
}
ann.client.close();
bob.client.close();
clearTimeout(alarm);
console.log(`dcrf-client: ${ann.heard.length + bob.heard.length} frames as expected`);
