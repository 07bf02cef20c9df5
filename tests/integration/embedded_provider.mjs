// Drives two real @hocuspocus/provider clients, one per region, against a server; exits 0 if all holds.
import { HocuspocusProvider, HocuspocusProviderWebsocket } from "@hocuspocus/provider";
import WebSocket from "ws";
import * as Y from "yjs";

const [, , east, north] = process.argv;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(says, check, ms = 8000) {
  for (const end = Date.now() + ms; !check(); await sleep(10)) {
    if (Date.now() > end) throw new Error(`not in time: ${says}`);
  }
}

function open(base) {
  const name = "interop";
  const document = new Y.Doc();
  const socket = new HocuspocusProviderWebsocket({ url: `${base}/docs/${name}`, WebSocketPolyfill: WebSocket });
  const provider = new HocuspocusProvider({ websocketProvider: socket, name, document, token: "any" });
  provider.attach();
  const list = document.getArray("tokens");
  return { socket, provider, list, tokens: () => list.toArray() };
}

const names = (client) => [...client.provider.awareness.getStates().values()].map((state) => state.name);

const a = open(east);
const b = open(north);
await until("both synced", () => a.provider.isSynced && b.provider.isSynced);
for (let i = 0; i < 5; i++) a.list.push([`a${i}`]);
b.list.push(["b0"]);
await until("both have all", () => a.tokens().length === 6 && b.tokens().length === 6);
await until("all acknowledged", () => a.provider.unsyncedChanges === 0 && b.provider.unsyncedChanges === 0);
if (`${a.tokens()}` !== `${b.tokens()}`) throw new Error("they differ");

a.provider.awareness.setLocalStateField("name", "ann");
await until("presence is shown", () => names(b).includes("ann"));

b.socket.disconnect();
await until("b is off", () => !b.provider.isSynced);
b.list.push(["offline"]);
b.list.delete(0, 1);
b.socket.connect();
await until("offline edits are merged", () => a.tokens().includes("offline") && a.tokens().length === 6);
await until("and acknowledged", () => b.provider.unsyncedChanges === 0);

a.socket.destroy();
await until("presence is withdrawn", () => !names(b).includes("ann"));
const expected = `${b.tokens()}`;
b.socket.destroy();

const cold = open(north);
await until("a fresh client syncs", () => cold.provider.isSynced);
if (`${cold.tokens()}` !== expected) throw new Error(`a cold read gives ${cold.tokens()}, not ${expected}`);
console.log("all holds");
process.exit(0);
