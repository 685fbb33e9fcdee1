#!/usr/bin/env python3
"""Runs a command beside a gateway on a free port and throw-away data, and fails if either does.

    with_gateway.py path/to/tolmach COMMAND [ARGUMENT …]

The command finds the gateway's address in TOLMACH_URL, its data folder in TOLMACH_DATA and the binary in TOLMACH_BINARY.
"""

import os
import signal
import subprocess
import sys
import tempfile

READY = "ready "
OPTIONS = {"TOLMACH__HTTP__LISTEN": "127.0.0.1:0", "TOLMACH__AUTH__BCRYPT_COST": "4"}


def main():
    binary, *command = sys.argv[1:]
    if not command:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        log_name = os.path.join(folder, "log")
        bare = {name: value for name, value in os.environ.items() if not name.startswith("TOLMACH")}
        with open(log_name, "w+") as log:
            serve = [os.path.abspath(binary), "serve", "--data", data]
            gateway = subprocess.Popen(serve, env=bare | OPTIONS, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                ready = gateway.stdout.readline()
                words = dict(word.split("=", 1) for word in ready.removeprefix(READY).split() if "=" in word)
                if not ready.startswith(READY) or "http" not in words:
                    raise SystemExit(f"{ready!r} was said instead of where it listens")
                found = {"TOLMACH_URL": f"http://{words['http']}", "TOLMACH_DATA": data, "TOLMACH_BINARY": os.path.abspath(binary)}
                code = subprocess.run(command, env=bare | found).returncode
                if gateway.poll() is not None:
                    raise SystemExit(f"the gateway ended with {gateway.returncode}")
                gateway.send_signal(signal.SIGTERM)
                if gateway.wait(60) != 0:
                    raise SystemExit(f"the gateway did not stop as it should: {gateway.returncode}")
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read())
                raise
            finally:
                gateway.kill()
                gateway.wait()
            if code:
                log.seek(0)
                sys.stderr.write(log.read())
            raise SystemExit(code)


if __name__ == "__main__":
    main()
