#!/usr/bin/env python3
"""A gateway on a free port with a temporary folder, for as long as a command runs beside it.

    TOLMACH_BIN=target/debug/tolmach python tests/live/python/_gateway.py COMMAND [ARGUMENT …]

The command finds the gateway's address in TOLMACH_URL, that of sndmsg on raw TCP in TOLMACH_SNDMSG_TCP, its data folder
in TOLMACH_DATA, the binary in TOLMACH_BIN and this interpreter in TOLMACH_PYTHON. Fails if the command fails, or if the gateway ends early or not after SIGTERM.
"""

import os
import signal
import subprocess
import sys
import tempfile

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
READY = "ready "
# The first frame of this app of MoreliaTalk is that of 1.16.
CONFIGURATION = """
[[dialects.morelia.pin]]
revision = "1.15"
user_agent = "Morelia/1.15"
"""
OPTIONS = {"TOLMACH__HTTP__LISTEN": "127.0.0.1:0", "TOLMACH__TCP__SNDMSG__LISTEN": "127.0.0.1:0", "TOLMACH__AUTH__BCRYPT_COST": "4", "TOLMACH__LEDGER__WRITE_INTERVAL": "1s"}


def ensure():
    """Starts the running script again beside a gateway, unless TOLMACH_URL is set."""
    if "TOLMACH_URL" not in os.environ:
        sys.exit(run([sys.executable, *sys.argv]))


def run(command):
    """The exit code of a command beside a gateway."""
    binary = os.path.abspath(os.environ.get("TOLMACH_BIN") or os.path.join(PROJECT, "target", "debug", "tolmach"))
    bare = {name: value for name, value in os.environ.items() if not name.startswith("TOLMACH")}
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data)
        with open(os.path.join(data, "tolmach.toml"), "w") as file:
            file.write(CONFIGURATION)
        with open(os.path.join(folder, "log"), "w+") as log:
            serve = [binary, "serve", "--data", data]
            gateway = subprocess.Popen(serve, env=bare | OPTIONS, stdout=subprocess.PIPE, stderr=log, text=True)
            problem = "it was interrupted"
            try:
                ready = gateway.stdout.readline()
                words = dict(word.split("=", 1) for word in ready.removeprefix(READY).split() if "=" in word)
                if not ready.startswith(READY) or "http" not in words:
                    problem = f"expected the line with the address, found {ready!r}"
                    return 1
                addresses = {"TOLMACH_URL": f"http://{words['http']}", "TOLMACH_SNDMSG_TCP": words["sndmsg-tcp"]}
                found = addresses | {"TOLMACH_DATA": data, "TOLMACH_BIN": binary, "TOLMACH_PYTHON": sys.executable}
                code = subprocess.run(command, env=bare | found).returncode
                problem = f"{command} ended with {code}" if code else ended(gateway)
                return 1 if problem else 0
            finally:
                gateway.kill()
                gateway.wait()
                if problem:
                    log.seek(0)
                    sys.stderr.write(f"{problem}; the gateway's log:\n{log.read()}")


def ended(gateway):
    """Stops the gateway; the problem, if there is one."""
    if gateway.poll() is not None:
        return f"the gateway ended by itself with {gateway.returncode}"
    gateway.send_signal(signal.SIGTERM)
    try:
        code = gateway.wait(60)
    except subprocess.TimeoutExpired:
        return "the gateway did not stop"
    return f"the gateway stopped with {code}" if code else None


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(run(sys.argv[1:]))
