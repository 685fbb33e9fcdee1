#!/bin/sh
# Drives a built gateway with clients that are not ours:
#
#     run.sh path/to/tolmach [story|examples|fuzz …]
#
# Without a choice, all of them. PYTHON names an interpreter that has tests/requirements.txt installed.
set -eu
here=$(dirname "$0")
python=${PYTHON:-python3}
binary=$1
shift
[ $# -gt 0 ] || set -- story examples fuzz
# The tools of the interpreter's own environment.
PATH=$(dirname "$(command -v "$python")"):$PATH
export PATH
for choice in "$@"; do
    case $choice in
        story | examples) "$python" "$here/with_gateway.py" "$binary" "$python" "$here/$choice.py" ;;
        fuzz) "$python" "$here/with_gateway.py" "$binary" sh "$here/rest_fuzz.sh" ;;
        *) echo "there is no $choice: story, examples or fuzz" >&2; exit 2 ;;
    esac
done
