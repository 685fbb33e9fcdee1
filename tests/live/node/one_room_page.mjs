// A page in Chromium in a room, for python/story_one_room.py: prints each text that the page hears as a line of JSON, and has it send
// each line of standard input. The page has an origin of its own and gives the token as a subprotocol.

import http from "node:http";
import readline from "node:readline";
import { chromium } from "playwright-core";

const { TOLMACH_SOCKETS: sockets, TOLMACH_TOKEN: token, TOLMACH_ROOM: room } = process.env;
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];
const print = (value) => console.log(JSON.stringify(value));

const site = http.createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><title>chat</title>");
});
await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
const page = await browser.newPage();
await page.exposeFunction("heard", print);
await page.goto(`http://localhost:${site.address().port}/`);

await page.evaluate(
  ([url, secret, roomId]) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url, ["chat", secret]);
      socket.onopen = () => {
        if (socket.protocol !== "chat") reject(new Error(`the protocol is ${socket.protocol}`));
        socket.send(JSON.stringify({ action: "join_room", room_id: roomId, request_id: 1 }));
      };
      socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.action === "join_room") resolve();
        else if (frame.action === "create_message") window.heard(frame.data.text);
        else reject(new Error(data));
      };
      window.socket = socket;
    }),
  [`${sockets}/ws/chat/`, token, Number(room)],
);
print("entered");

for await (const line of readline.createInterface({ input: process.stdin })) {
  await page.evaluate(
    (text) => window.socket.send(JSON.stringify({ action: "create_message", text, attachments_ids: [], request_id: 2 })),
    JSON.parse(line),
  );
}
await browser.close();
site.close();
