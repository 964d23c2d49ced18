# SPDX-License-Identifier: Apache-2.0
"""What an agent says: on standard error and in the debug file, as the options ask."""

import sys

from fencelib.options import TRUE_WORDS, Options


class Log:
    """Standard error and the debug file, as the options ask for them."""

    def __init__(self, name: str, options: Options) -> None:
        self._name = name
        self._quiet = options.get("quiet", "").lower() in TRUE_WORDS
        self._verbose = options.get("verbose", "").lower() in TRUE_WORDS
        self._path = options.get("debug_file", "")

    def say(self, text: str) -> None:
        """Tell the operator, in one line."""
        if not self._quiet:
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """Tell who debugs; a debug file that cannot be written never stops a fence."""
        if self._verbose:
            self.say(text)
        try:
            if self._path:
                with open(self._path, "a", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 -- pathlib is slow to import
                    file.write(f"{text}\n")
        except OSError as error:
            self.say(f"warning: cannot write debug_file {self._path!r}: {error.strerror}")
            self._path = ""
