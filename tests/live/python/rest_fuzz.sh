#!/bin/sh
# Fuzzes bearer's REST against its own description with every check of schemathesis, beside a gateway of its own.
# TOLMACH_BIN is the gateway, TOLMACH_PYTHON an interpreter with tests/requirements.txt; FUZZ_EXAMPLES and FUZZ_SEED change
# how much is tried, and what. Left out are handshakes, whose answer is no HTTP, and logging out, which would end the session
# that everything else needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${TOLMACH_PYTHON:-$(command -v python3)}
[ -n "${TOLMACH_URL:-}" ] || exec "$python" "$here/_gateway.py" sh "$here/rest_fuzz.sh"
url=$TOLMACH_URL data=$TOLMACH_DATA
for login in fuzzer somebody else; do
    "$TOLMACH_BIN" user add "$login" --password secret --email "$login@example.org" --data "$data" >/dev/null
done
token=$("$TOLMACH_BIN" token fuzzer --data "$data")
# Something to find: ids that the fuzzer draws are mostly small.
for path in chat/2 chat/3; do
    curl --silent --fail --output /dev/null --request POST --header "Authorization: Bearer $token" "$url/api/v1/$path"
done
printf '\211PNG\r\n\032\n\000\000\000\rIHDR' >"$data/photo.png"
for name in first second; do
    curl --silent --fail --output /dev/null --header "Authorization: Bearer $token" --form "photo=@$data/photo.png" \
        --form "json={\"name\":\"$name\",\"users\":[{\"id\":2}]}" "$url/api/v1/group"
done
# It leaves files where it runs.
cd "$data"
exec "$(dirname "$python")/schemathesis" --config-file "$here/schemathesis.toml" run "$url/openapi.json" \
    --header "Authorization: Bearer $token" \
    --checks all --exclude-tag websocket --exclude-operation-id logout \
    --max-examples "${FUZZ_EXAMPLES:-200}" --seed "${FUZZ_SEED:-1}" --generation-database none \
    --request-timeout 30 --workers 1 --no-color
