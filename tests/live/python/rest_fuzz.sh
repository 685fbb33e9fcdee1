#!/bin/sh
# Fuzzes bearer's REST against its OpenAPI document with every check of schemathesis, beside a gateway that it starts.
# TOLMACH_BIN is the gateway, TOLMACH_PYTHON an interpreter with tests/requirements.txt; FUZZ_EXAMPLES and FUZZ_SEED set
# the number of examples and the seed. Handshakes are left out because they upgrade, and the logout because it would end
# the session that all other requests need.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${TOLMACH_PYTHON:-$(command -v python3)}
[ -n "${TOLMACH_URL:-}" ] || exec "$python" "$here/_gateway.py" sh "$here/rest_fuzz.sh"
url=$TOLMACH_URL data=$TOLMACH_DATA
for login in fuzzer other third; do
    "$TOLMACH_BIN" user add "$login" --password secret --email "$login@example.org" --data "$data" >/dev/null
done
token=$("$TOLMACH_BIN" token fuzzer --data "$data")
# Chats and groups with small ids, which the fuzzer draws most.
for path in chat/2 chat/3; do
    curl --silent --fail --output /dev/null --request POST --header "Authorization: Bearer $token" "$url/api/v1/$path"
done
printf '\211PNG\r\n\032\n\000\000\000\rIHDR' >"$data/photo.png"
for name in first second; do
    curl --silent --fail --output /dev/null --header "Authorization: Bearer $token" --form "photo=@$data/photo.png" \
        --form "json={\"name\":\"$name\",\"users\":[{\"id\":2}]}" "$url/api/v1/group"
done
# schemathesis leaves files in its folder.
cd "$data"
exec "$(dirname "$python")/schemathesis" --config-file "$here/schemathesis.toml" run "$url/openapi.json" \
    --header "Authorization: Bearer $token" \
    --checks all --exclude-tag websocket --exclude-operation-id logout \
    --max-examples "${FUZZ_EXAMPLES:-200}" --seed "${FUZZ_SEED:-1}" --generation-database none \
    --request-timeout 30 --workers 1 --no-color
