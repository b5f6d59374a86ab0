"""Posts an event to a URL, in a process of its own without privileges.

The process is forked, not started: a user without privileges may not be able to read the place
where Python and this package are installed. So everything it needs is imported before. It is
subject to what every hook is (`command`): a time limit that also covers name resolution, and an end
that nobody has to wait for.

A redirection is not followed: the event would be asked for elsewhere, not posted, and an answer to
that would pass for one.

This module is imported only where there is a webhook; it is large.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - resolving a name imports it, too late
import http.client
import os
import urllib.error
import urllib.request


class _NotFollowed(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for the answer that it is."""

    def redirect_request(self, *_: object) -> None:
        """Go nowhere."""


def post(url: str, body: bytes, timeout_s: float) -> int:
    """Post, print what came of it to descriptor 1, and return the exit code: 0 on any 2xx."""
    headers = {"Content-Type": "application/json", "User-Agent": "vrrp"}
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        opener = urllib.request.build_opener(_NotFollowed)
        with opener.open(request, timeout=timeout_s) as answer:
            return _say(0, f"answered {answer.status}")
    except urllib.error.HTTPError as error:
        error.close()
        return _say(1, f"answered {error.code} {error.reason}")
    except urllib.error.URLError as error:
        return _say(1, str(error.reason))
    except (OSError, http.client.HTTPException) as error:
        return _say(1, str(error))


def _say(code: int, text: str) -> int:
    os.write(1, text.encode())
    return code
