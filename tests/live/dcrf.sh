#!/usr/bin/env bash
# Drives the dialect `action` with dcrf-client of npm, beside a gateway that it starts. TOLMACH_BIN is the
# gateway; `cargo xtask setup` installs the packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${TOLMACH_BIN:-$here/../../target/debug/tolmach}")

missing=
command -v node >/dev/null || missing="there is no node"
[ -n "$missing" ] || [ -f "$here/node/node_modules/.installed.json" ] ||
    missing="its packages are not installed"
if [ -n "$missing" ]; then
    # As in xtask.
    case ${CI:-} in
    "" | 0 | false) echo "skipped: dcrf-client: $missing" >&2 && exit 0 ;;
    *) echo "dcrf-client: $missing" >&2 && exit 1 ;;
    esac
fi

for name in $(compgen -v TOLMACH); do unset "$name"; done
folder=$(mktemp -d)
gateway=
finish() {
    code=$?
    [ -z "$gateway" ] || kill -KILL "$gateway" 2>/dev/null || true
    [ "$code" = 0 ] || { echo "the gateway's log:" && cat "$folder/log"; } >&2
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

mkfifo "$folder/ready"
TOLMACH__HTTP__LISTEN=127.0.0.1:0 TOLMACH__AUTH__BCRYPT_COST=4 \
    "$binary" serve --data "$folder/data" >"$folder/ready" 2>"$folder/log" &
gateway=$!
exec 3<"$folder/ready"
read -r -t 60 ready <&3 || { echo "the gateway did not print its address" >&2 && exit 1; }
address=$(sed -n 's/^ready .*\<http=\([^ ]*\).*/\1/p' <<<"$ready ")
[ -n "$address" ] || { echo "expected the address, found: $ready" >&2 && exit 1; }
url=http://$address

# post PATH [OPTION …]: the response of bearer.
post() {
    curl --silent --show-error --fail --max-time 30 --request POST "$url/api/v1/$1" "${@:2}"
}
# number KEY: the first number of that name in standard input.
number() {
    sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}
# account NAME: an access token of a new account with a profile.
account() {
    local token
    token=$(post register --header "Content-Type: application/json" \
        --data "{\"email\":\"$1@example.org\",\"password\":\"correct horse\",\"username\":\"$1\"}" |
        sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
    post user --header "Authorization: Bearer $token" --output /dev/null \
        --form "json={\"username\":\"$1\",\"name\":\"$1\",\"description\":\"\"}"
    echo "$token"
}
ann=$(account ann)
bob=$(account bob)
bobs_id=$(curl --silent --fail --max-time 30 --header "Authorization: Bearer $bob" "$url/api/v1/user" |
    number id)
room=$(post "chat/$bobs_id" --header "Authorization: Bearer $ann" | number id)

TOLMACH_URL=$url DCRF_ANN=$ann DCRF_BOB=$bob DCRF_ROOM=$room node "$here/node/dcrf.mjs"

kill -TERM "$gateway"
pid=$gateway gateway=
wait "$pid" || { echo "the gateway stopped with $?" >&2 && exit 1; }
