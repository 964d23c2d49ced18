# SPDX-License-Identifier: Apache-2.0
"""A small real database for the lab: `database_server.py FILE PORT` keeps rows in SQLite.

POST /TEXT adds a row and answers when it is on the disk; GET / lists all rows, oldest first. It
serves only a file that exists, so it cannot begin anew beside an empty mount point.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def make(path: str) -> None:
    """Make an empty database."""
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE IF NOT EXISTS kept (row TEXT)")


def serve(path: str, port: int) -> None:
    """Serve until killed; tell systemd once clients are heard."""
    database = sqlite3.connect(f"file:{path}?mode=rw", uri=True)
    database.execute("PRAGMA synchronous=FULL")
    database.execute("SELECT count(*) FROM kept").fetchone()

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with database:
                database.execute("INSERT INTO kept VALUES (?)", (self.path.strip("/"),))
            self._answer("")

        def do_GET(self) -> None:
            rows = database.execute("SELECT row FROM kept ORDER BY rowid").fetchall()
            self._answer("\n".join(row for (row,) in rows))

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    server = HTTPServer(("", port), Desk)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[2] == "make":
        make(sys.argv[1])
    else:
        serve(sys.argv[1], int(sys.argv[2]))
