#!/bin/sh
# Fuzzes bearer's REST against its own description with every check of schemathesis. See with_gateway.py.
# Left out: handshakes, whose answer is no HTTP, and logging out, which would end the session of everything else.
# FUZZ_EXAMPLES and FUZZ_SEED change how much is tried, and what.
set -eu
binary=$TOLMACH_BINARY data=$TOLMACH_DATA url=$TOLMACH_URL
for login in fuzzer somebody else; do
    "$binary" user add "$login" --password secret --email "$login@example.org" --data "$data" >/dev/null
done
token=$("$binary" token fuzzer --data "$data")
# Something to find: ids that the fuzzer draws are mostly small.
for path in chat/2 chat/3; do
    curl --silent --fail --output /dev/null --request POST --header "Authorization: Bearer $token" "$url/api/v1/$path"
done
printf '\211PNG\r\n\032\n\000\000\000\rIHDR' >"$data/photo.png"
for name in first second; do
    curl --silent --fail --output /dev/null --header "Authorization: Bearer $token" --form "photo=@$data/photo.png" \
        --form "json={\"name\":\"$name\",\"users\":[{\"id\":2}]}" "$url/api/v1/group"
done
exec "${SCHEMATHESIS:-schemathesis}" --config-file "$(dirname "$0")/schemathesis.toml" run "$url/openapi.json" \
    --header "Authorization: Bearer $token" \
    --checks all --exclude-tag websocket --exclude-operation-id logout \
    --max-examples "${FUZZ_EXAMPLES:-200}" --seed "${FUZZ_SEED:-1}" --generation-database none \
    --request-timeout 30 --workers 1 --no-color
