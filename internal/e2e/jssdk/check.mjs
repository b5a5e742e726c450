// Drives the pushers API with matrix-js-sdk, as a Matrix client does. It gets the server and a token on the command line
// and ends with an error when anything is not as a client expects it.
import assert from "node:assert/strict";
import { createClient } from "matrix-js-sdk";

const [baseUrl, accessToken] = process.argv.slice(2);
const client = createClient({ baseUrl, accessToken, userId: "@ada:example.com" });
// The SDK asks the homeserver for its versions first. A homeserver answers that itself and hands only pushers to pushgate.
client.doesServerSupportUnstableFeature = async () => false;
const pusher = {
    kind: "http",
    app_id: "com.example.app",
    pushkey: "V2h5IG9uIGVhcnRoIGRpZCB5b3UgZGVjb2RlIHRoaXM/",
    app_display_name: "Example",
    device_display_name: "Laptop",
    lang: "en",
    append: true,
    data: { url: "https://push.example.com/_matrix/push/v1/notify", format: "event_id_only", custom: { nested: [1, 2.5] } },
};

assert.deepEqual(await client.getPushers(), { pushers: [] });
assert.deepEqual(await client.setPusher(pusher), {});
const [got] = (await client.getPushers()).pushers;
for (const member of ["kind", "app_id", "pushkey", "app_display_name", "device_display_name", "lang", "data"]) {
    assert.deepEqual(got[member], pusher[member], member);
}
await assert.rejects(client.setPusher({ ...pusher, lang: undefined }), (e) => e.errcode === "M_MISSING_PARAM" && e.httpStatus === 400);
assert.deepEqual(await client.removePusher(pusher.pushkey, pusher.app_id), {});
assert.deepEqual(await client.getPushers(), { pushers: [] });
assert.deepEqual(await client.removePusher(pusher.pushkey, pusher.app_id), {}, "removing what is not there");
await assert.rejects(
    createClient({ baseUrl, accessToken: "wrong", userId: "@ada:example.com" }).getPushers(),
    (e) => e.errcode === "M_UNKNOWN_TOKEN" && e.httpStatus === 401,
);
console.log("setPusher, getPushers and removePusher work");
process.exit(0);
