# SPDX-License-Identifier: Apache-2.0
# What a coordinator that lies could hand out: an exported log changed at one place and signed anew as a whole by its own key.
#   rewrite_log.py EXPORT SIGN.KEY drop KIND ROUND           leaves out the first such entry
#   rewrite_log.py EXPORT SIGN.KEY change KIND ROUND OLD NEW  changes its text by a regular expression
import base64, ctypes, ctypes.util, hashlib, json, re, struct, sys

folder, key_file, what, kind, number = sys.argv[1:6]
sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
key = open(key_file, "rb").read()


def sign(message):
    signature = ctypes.create_string_buffer(64)
    sodium.crypto_sign_detached(signature, None, message, ctypes.c_ulonglong(len(message)), key)
    return signature.raw


def sha(data):
    return hashlib.sha256(data).digest()


def root(leaves):
    if len(leaves) == 1:
        return sha(b"\0" + leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha(b"\1" + root(leaves[:k]) + root(leaves[k:]))


entries = [json.loads(line)["entry"] for line in open(folder + "/log.jsonl")]
parsed = [json.loads(entry) for entry in entries]
at = next(i for i, e in enumerate(parsed) if e["kind"] == kind and e.get("round") == int(number))
if what == "drop":
    del entries[at]
else:
    changed = re.sub(sys.argv[6], sys.argv[7], entries[at], count=1)
    assert changed != entries[at], "nothing to change"
    entries[at] = changed

head = bytes(32)
with open(folder + "/log.jsonl", "w") as log:
    for seq, entry in enumerate(entries, 1):
        head = sha(head + sha(entry.encode()))
        signature = sign(b"consilium log 1" + struct.pack("<Q", seq) + head).hex()
        e = json.loads(entry)
        line = {"seq": seq, "ms": e["ms"], "study": e["study"], "kind": e["kind"], "entry": entry, "hash": head.hex(), "signature": signature}
        log.write(json.dumps(line, separators=(",", ":")) + "\n")
document = json.load(open(folder + "/head.json"))
document.update(count=len(entries), hash=head.hex(), signature=signature)
json.dump(document, open(folder + "/head.json", "w"))
tree = json.load(open(folder + "/tree.head"))
payload = json.loads(base64.b64decode(tree["payload"]))
payload.update(size=len(entries), root=root([e.encode() for e in entries]).hex())
body = json.dumps(payload, separators=(",", ":")).encode()
kind_of = tree["payloadType"].encode()
tree["payload"] = base64.b64encode(body).decode()
tree["signatures"][0]["sig"] = base64.b64encode(sign(b"DSSEv1 %d %s %d " % (len(kind_of), kind_of, len(body)) + body)).decode()
json.dump(tree, open(folder + "/tree.head", "w"))
json.dump({"origin": payload["origin"], "witnesses": []}, open(folder + "/witnesses.json", "w"))
