"""A headless Chromium for tests, driven over its debugging pipe with nothing but the standard library."""
import base64
import json
import os
import shutil
import subprocess
import time

# What a person sees on a page, across shadow roots and frames of the same origin.
DEEP = """
function deep(root, found) {
    for (const node of root.querySelectorAll('*')) {
        found.push(node);
        if (node.shadowRoot) deep(node.shadowRoot, found);
        if (node.tagName == 'IFRAME' && node.contentDocument) deep(node.contentDocument, found);
    }
    return found;
}
const all = deep(document, []);
const text = all.filter(n => !['SCRIPT', 'STYLE'].includes(n.tagName)).map(n => [...n.childNodes].filter(
    c => c.nodeType == 3).map(c => c.data.trim()).join(' ')).filter(t => t).join('\\n');
"""


def executable():
    """The path of Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page. Use it in a `with` block."""

    def __init__(self, folder, width=1300, height=900):
        to_browser, from_browser = os.pipe(), os.pipe()

        def keep():  # Chromium reads commands from descriptor 3 and answers on 4
            read, write = os.dup(to_browser[0]), os.dup(from_browser[1])
            read, write = os.dup2(read, 63), os.dup2(write, 64)
            os.dup2(read, 3)
            os.dup2(write, 4)

        command = [executable(), "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run",
                   "--disable-dev-shm-usage", "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--mute-audio",
                   f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"]
        self.process = subprocess.Popen(command, preexec_fn=keep, close_fds=False, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(to_browser[0])
        os.close(from_browser[1])
        self.write, self.read = to_browser[1], os.fdopen(from_browser[0], "rb")
        self.buffer, self.count, self.session = b"", 0, None
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]

    def call(self, method, **parameters):
        """Send a command of the debugging protocol; its result. RuntimeError with the browser's message."""
        self.count += 1
        message = dict(id=self.count, method=method, params=parameters)
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.answer()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def answer(self):
        """The next message of the browser."""
        while b"\0" not in self.buffer:
            chunk = self.read.read1(1 << 20)
            if not chunk:
                raise RuntimeError("Chromium has ended")
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, expression):
        """The value of an expression in which `all` are the page's elements and `text` is its text."""
        code = "(() => {" + DEEP + f"return {expression};" + "})()"
        return self.call("Runtime.evaluate", expression=code, returnByValue=True)["result"].get("value")

    def open(self, address):
        """Load a page, also where only the part behind # changes."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)

    def wait(self, expression, seconds=90):
        """Wait until an expression is true; AssertionError with the page's text after some time."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"{expression} is not true of the page:\n{self.evaluate('text')}"
            time.sleep(0.3)

    def screenshot(self, path):
        """Write what the page looks like as PNG."""
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.write)
        self.read.close()
