"""A headless Chromium for the tests of pages, driven by its DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.request

PATH = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SECONDS = 30


class Browser:
    """One tab."""

    def __init__(self, connection, loop):
        self._connection, self._loop, self._number, self.errors = connection, loop, 0, []

    def call(self, method, **parameters):
        """The result of a method of the protocol. Errors that the page reports are collected in `errors`."""
        self._number += 1
        message = json.dumps({"id": self._number, "method": method, "params": parameters})
        self._loop.run_until_complete(self._exchange(message))
        while True:
            answer = json.loads(self._loop.run_until_complete(self._exchange()))
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(answer["params"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    async def _exchange(self, message=None):
        """Sends a message, or receives one."""
        if message is not None:
            return await self._connection.write_message(message)
        return await asyncio.wait_for(asyncio.ensure_future(self._connection.read_message()), _SECONDS)

    def evaluate(self, expression):
        """The value of an expression of JavaScript; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression):
        """Waits until an expression is true."""
        end = time.monotonic() + _SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.05)

    def open(self, url, width=1280, height=900):
        """Opens a page in a window of this size, and waits until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def press(self, key, text=None):
        """Presses a key as a person does."""
        if text is None and len(key) == 1:
            text = key
        down = {"type": "keyDown", "key": key, **({"text": text} if text else {})}
        self.call("Input.dispatchKeyEvent", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path):
        """Saves what the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def started(folder):
    """Yields a browser whose profile and downloads are in a folder."""
    from tornado import websocket

    process = subprocess.Popen(
        [PATH, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
         f"--user-data-dir={folder}/profile", "--autoplay-policy=no-user-gesture-required", "--mute-audio",
         "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    try:
        note, end = f"{folder}/profile/DevToolsActivePort", time.monotonic() + _SECONDS
        while not (os.path.exists(note) and os.path.getsize(note)):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        with open(note) as file:
            port = file.readline().strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_SECONDS) as answer:
            [tab] = [tab for tab in json.load(answer) if tab["type"] == "page"]

        async def connect():
            return await websocket.websocket_connect(tab["webSocketDebuggerUrl"], max_message_size=1 << 28)

        connection = loop.run_until_complete(connect())
        browser = Browser(connection, loop)
        for domain in ("Page", "Runtime", "Log"):
            browser.call(f"{domain}.enable")
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        yield browser
        connection.close()
    finally:
        process.terminate()
        process.wait()
        loop.close()
