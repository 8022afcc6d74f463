"""Makes the pictures of README.md again, from generated recordings: `python tools/pictures.py`.

It runs the demo into demo/ and trains once more. It needs chromium for screenshots of pages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import PIL.Image

from bird_tf import config

_BRIEF = ("--records=demo/records", "--epochs=5", "--learning_rate=5e-4", "--seed=1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """Flags of the pictures."""

    output: str = config.option("docs/pictures", "folder for the pictures")
    browser: str = config.option("chromium", "headless browser")


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], stderr=sys.stderr, check=True)


def _page(browser: str, address: str, path: str, width: int, height: int) -> None:
    """Takes a screenshot of the top of a page when it has loaded."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        size = [f"--window-size={width},{height}", f"--screenshot={path}"]
        subprocess.run([browser, *options, *size, address], check=True, capture_output=True)


class _Late(http.server.BaseHTTPRequestHandler):
    """Serves a frame around the page in its query, and an image that comes late, so that the page can draw itself."""

    def do_GET(self) -> None:
        framed = urllib.parse.unquote(self.path.partition("?")[2])
        if not framed:
            time.sleep(20)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        frame = f'<iframe src="{html.escape(framed)}" style="border:0; width:100%; height:100vh"></iframe>'
        self.wfile.write(f'<body style="margin:0">{frame}<img src="/late">'.encode())

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


def _tensorboard(browser: str, logdir: str, path: str) -> None:
    """Takes a screenshot of TensorBoard with the trainings below a folder."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"http://localhost:{free.getsockname()[1]}"
    program = os.path.join(os.path.dirname(sys.executable), "tensorboard")
    arguments = ["--logdir", logdir, "--port", address.rpartition(":")[2]]
    server = subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL)
    around = http.server.ThreadingHTTPServer(("localhost", 0), _Late)
    threading.Thread(target=around.serve_forever, daemon=True).start()
    try:
        for _ in range(60):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/data/runs", timeout=5).read()
                break
            time.sleep(1)
        page = f"{address}/?tagFilter=/loss|/mlrap&smoothing=0&darkMode=false#timeseries"
        _page(browser, f"http://localhost:{around.server_port}/?{urllib.parse.quote(page)}", path, 1500, 880)
    finally:
        around.shutdown()
        server.terminate()
        server.wait()
    with PIL.Image.open(path) as picture:
        charts = picture.crop((0, 0, 1245, 880))  # without the settings pane
    charts.save(path)


def shrink(path: str, width: int, colours: int = 32) -> None:
    """Scales a picture to at most this width, pixels, and reduces its colours, so that the file is small."""
    with PIL.Image.open(path) as picture:
        height = round(picture.height * min(1.0, width / picture.width))
        small = picture.convert("RGB").resize((min(width, picture.width), height), PIL.Image.Resampling.LANCZOS)
    small.quantize(colours, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def main(settings: PicturesConfig) -> None:
    """Makes packages.png, contact.png, batch.png, report.png, review.png and tensorboard.png."""
    if not shutil.which(settings.browser):
        raise config.InputError(f"--browser={settings.browser}: no such program; install chromium")
    os.makedirs(settings.output, exist_ok=True)
    contact, batch, report, review, curves = (
        os.path.join(settings.output, f"{name}.png") for name in ("contact", "batch", "report", "review", "tensorboard")
    )
    _run("tools/package_map.py", f"--output={os.path.join(settings.output, 'packages.png')}")
    _run("tools/demo.py", "--output=demo")
    # a short training, so that the report has mistakes to show
    _run("-m", "bird_tf.train", "--flagfile=configs/demo.flags", *_BRIEF, "--run_dir=demo/brief", "--overwrite")
    _run("-m", "bird_tf.evaluate", "--model=demo/brief/export", "--records=demo/records", "--tune")
    _run("tools/inspect_tfrecords.py", "--records=demo/records", f"--output={contact}", "--columns=4")
    _run("tools/show_batch.py", "--flagfile=configs/recommended.flags", "--records=demo/records", f"--output={batch}")
    page = os.path.abspath("demo/brief/evaluation/report.html")
    _page(settings.browser, f"file://{page}", report, 1100, 1300)
    heard, judged = ("--output=demo/brief/predictions", "--output=demo/brief/review")
    doubtful = ("--min_probability=0.1", "--merge_seconds=-1")
    _run("-m", "bird_tf.predict", "--model=demo/brief/export", "--audio=demo/data/test/wav", *doubtful, heard)
    _run("-m", "bird_tf.review", "--predictions=demo/brief/predictions", "--num_clips=20", judged)
    _page(settings.browser, f"file://{os.path.abspath('demo/brief/review/index.html')}", review, 900, 760)
    _tensorboard(settings.browser, "demo", curves)
    for path, width in ((contact, 1000), (batch, 1000), (report, 900), (review, 900), (curves, 900)):
        shrink(path, width)
        print(f"{path}: {os.path.getsize(path) / 1000:.0f} kB")


if __name__ == "__main__":
    config.run(main, PicturesConfig)
