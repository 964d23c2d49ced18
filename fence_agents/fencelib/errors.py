# SPDX-License-Identifier: Apache-2.0
"""Why an action failed; every text is one line and holds no secret."""


class FenceError(Exception):
    """The action failed: what was found and what to do, in one line without secrets."""


class EndedError(Exception):
    """A signal ended the agent: nothing more is to be tried, whatever it was doing."""


class NoAnswerError(FenceError):
    """The device did not answer; `sent` tells whether the command may have reached it."""

    def __init__(self, found: str, advice: str, *, sent: bool) -> None:
        super().__init__(f"{found}; {advice}")
        self.found, self.advice, self.sent = found, advice, sent

    def after(self, seconds: float) -> "NoAnswerError":
        """Return the same with the time that was spent on it."""
        return NoAnswerError(f"{self.found} for {seconds:g} s", self.advice, sent=self.sent)


class StuckError(FenceError):
    """The device answers, but the power did not reach the wanted state in time."""
