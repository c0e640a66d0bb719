"""Drive headless Chromium over its debugging pipe: open pages, press keys, take pictures. Used by tests and scripts.

No package and no port is needed: the browser reads and writes JSON messages, each ended by a zero byte, on two pipes.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

OPTIONS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
]  # fmt: skip
PATIENCE = 60.0  # seconds to wait for an answer or a condition
KEYS = {  # the codes of keys whose name is no character
    "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
    "PageUp": 33, "PageDown": 34,
}  # fmt: skip
SHIFT, CONTROL = 8, 2


def is_installed() -> bool:
    return shutil.which("chromium") is not None


class Page:
    """One tab of a browser of its own; use ``opened``."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers, self._unread = itertools.count(1), b""
        self.console: list[str] = []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        """Send a command of the DevTools protocol and return its result."""
        number = self._send(method, parameters)
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _send(self, method: str, parameters) -> int:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        return number

    def _read(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            if not select.select([self._answers], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("chromium does not answer")
            block = os.read(self._answers, 1 << 20)
            if not block:
                raise RuntimeError("chromium ended")
            self._unread += block
        text, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(text)
        content = message.get("params", {})
        if message.get("method") == "Page.javascriptDialogOpening":  # "leave the page?"; everything waits for it
            self._send("Page.handleJavaScriptDialog", {"accept": True})
        elif message.get("method") == "Log.entryAdded":
            self.console.append(content["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            details = content["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description") or details["text"])
        elif message.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(each.get("value", "")) for each in content["args"]))
        return message

    def size(self, width: int, height: int, *, mobile: bool = False, scale: float = 1) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def theme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, url: str) -> None:
        """Go to an address; the page may still be loading afterwards."""
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)}")

    def value(self, expression: str):
        """Return what a JavaScript expression evaluates to; a promise is waited for."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"].get("exception", {}).get("description", "failed"))
        return done["result"].get("value")

    def wait(self, condition: str):
        """Wait until a JavaScript expression is true, and return it."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(RuntimeError):  # the page is still loading
                if value := self.value(condition):
                    return value
            time.sleep(0.02)
        raise TimeoutError(f"never true: {condition}; console: {self.console}")

    def press(self, *keys: str, modifiers: int = 0) -> None:
        """Press keys one after another, each a character or a name such as ``ArrowDown``."""
        for key in keys:
            code = KEYS.get(key) or ord(key.upper())
            about = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            text = (
                {"text": "\r" if key == "Enter" else key}
                if not modifiers & CONTROL and (len(key) == 1 or key == "Enter")
                else {}
            )
            self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that matches."""
        box = f"JSON.stringify(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        place = json.loads(self.value(box))
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@contextlib.contextmanager
def opened(width: int = 1200, height: int = 800):
    """Start a browser and yield its page; the browser ends with the block."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        to_read, commands = os.pipe()
        answers, to_write = os.pipe()
        arguments = [
            "chromium",
            *OPTIONS,
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        null = os.open(os.devnull, os.O_RDWR)
        high = [os.dup2(fd, fd + 100) for fd in (to_read, to_write)]  # so that 3 and 4 are free to be given
        actions = [
            (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3), (os.POSIX_SPAWN_DUP2, high[1], 4),
        ]  # fmt: skip
        process = os.posix_spawn(
            str(Path(shutil.which("chromium") or "chromium")), arguments, os.environ, file_actions=actions, setpgroup=0
        )
        for fd in (to_read, to_write, null, *high):
            os.close(fd)
        try:
            page = Page(commands, answers)
            page.size(width, height)
            yield page
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            os.close(commands)
            os.close(answers)
