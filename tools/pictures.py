"""Makes the pictures of README.md and docs/ again: `python tools/pictures.py`.

The spectrograms are those of docs/example/, real birds (see its credits.txt). The report and the curves come from the
demo, which it runs into demo/. It needs chromium for screenshots of pages. tools/learning_curve.py draws the curve of
docs/explanation/results.md.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import html
import http.server
import itertools
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

import numpy as np
import PIL.Image
import soundfile

from bird_tf import command_line, config, tf
from bird_tf.audio import axes, frontend

_BRIEF = ("--records=demo/records", "--epochs=5", "--learning_rate=5e-4", "--seed=1")
_EXAMPLE = "docs/example/powdermill"
# of the pictures, pixels
_WIDTHS = {"recording": 1000, "contact": 1000, "batch": 1000, "report": 900, "review": 900, "tensorboard": 900}
# what is made together
_OF_BIRDS, _OF_DEMO, _OF_PACKAGES = "birds", "demo", "packages"
_OF = {_OF_BIRDS: ("recording", "contact", "batch", "review"), _OF_DEMO: ("report", "tensorboard"), _OF_PACKAGES: ()}
_COLOURS = ("cyan", "white", "lime", "yellow")


@dataclasses.dataclass(frozen=True)
class Call:
    """A call in the example: its species, times in seconds, and frequencies in Hz."""

    species: str
    start: float
    end: float
    low_hz: float
    high_hz: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """Flags of the pictures."""

    output: str = config.option("docs/pictures", "folder for the pictures")
    browser: str = config.option("chromium", "headless browser")
    only: tuple[str, ...] = config.option(
        tuple(_OF),
        "birds (recording, contact, batch, review), demo (report, tensorboard), or packages; may be repeated",
    )

    def __post_init__(self) -> None:
        if unknown := {*self.only} - {*_OF}:
            raise config.InputError(f"--only={min(unknown)}: need {', '.join(_OF)}")


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], stderr=sys.stderr, check=True)


def calls() -> list[Call]:
    """The calls of the example, from its selection table."""
    with open(f"{_EXAMPLE}.Table.1.selections.txt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    columns = ("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
    return [Call(row["Species"], *(float(row[column]) for column in columns)) for row in rows]


def recording(path: str, found: list[Call]) -> None:
    """Draws the example with a box and a name for each call."""
    import matplotlib.figure

    samples, rate = soundfile.read(f"{_EXAMPLE}.ogg", dtype="float32")
    seconds = len(samples) // rate
    front_end = frontend.FrontendConfig(
        sample_rate_hz=rate, chunk_seconds=seconds, num_frames=1200, fmin_hz=500.0, fmax_hz=10000.0, top_db=60.0
    )
    [image] = frontend.spectrograms(tf.constant(samples[None, : front_end.chunk_samples]), front_end).numpy()
    figure = matplotlib.figure.Figure(figsize=(10, 4), layout="constrained")
    drawn = figure.subplots()
    drawn.imshow(image, cmap="magma", aspect="auto")
    axes.mark(drawn, front_end, frequencies=True, seconds=False)
    scale = front_end.num_frames / seconds
    drawn.set_xticks(np.arange(seconds + 1) * scale - 0.5, [f"{second} s" for second in range(seconds + 1)])
    species = sorted({call.species for call in found})
    for call in found:
        high, low = axes.rows(front_end, np.array([call.high_hz, call.low_hz]))
        colour = _COLOURS[species.index(call.species)]
        box = {"fill": False, "color": colour, "linewidth": 1.5}
        first = sum(call is other for other in found if other.species == call.species)
        drawn.add_patch(matplotlib.patches.Rectangle(
            (call.start * scale, high), (call.end - call.start) * scale, low - high, **box,
            label=call.species if first else None,
        ))  # fmt: skip
    handles, labels = drawn.get_legend_handles_labels()
    kinds = dict(zip(labels, handles, strict=True))
    figure.legend(kinds.values(), kinds, loc="outside upper center", ncols=len(kinds), facecolor="black",
                  labelcolor="white", prop={"style": "italic"})  # fmt: skip
    figure.savefig(path, dpi=110, bbox_inches="tight")


def clips(folder: str, found: list[Call]) -> None:
    """Cuts two seconds around the middle of each call, into a folder for each species."""
    samples, rate = soundfile.read(f"{_EXAMPLE}.ogg")
    for number, call in enumerate(found, start=1):
        os.makedirs(os.path.join(folder, call.species), exist_ok=True)
        first = min(max(0, round(((call.start + call.end) / 2 - 1) * rate)), len(samples) - 2 * rate)
        path = os.path.join(folder, call.species, f"call {number}.wav")
        soundfile.write(path, samples[first : first + 2 * rate], rate)


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
        for _ in range(180):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/data/runs", timeout=5).read()
                break
            time.sleep(1)
        else:
            raise config.InputError(f"tensorboard --logdir={logdir} does not answer within three minutes")
        page = f"{address}/?tagFilter=/loss|/mlrap&smoothing=0&darkMode=false#timeseries"
        _page(browser, f"http://localhost:{around.server_port}/?{urllib.parse.quote(page)}", path, 1500, 880)
    finally:
        around.shutdown()
        server.terminate()
        server.wait()
    with PIL.Image.open(path) as picture:
        charts = picture.crop((0, 0, 1245, 880))  # without the settings pane
    charts.save(path)


def shrink(path: str, width: int, colours: int = 128) -> None:
    """Scales a picture to at most this width, pixels, and reduces its colours, so that the file is small."""
    with PIL.Image.open(path) as picture:
        height = round(picture.height * min(1.0, width / picture.width))
        small = picture.convert("RGB").resize((min(width, picture.width), height), PIL.Image.Resampling.LANCZOS)
    small.quantize(colours, PIL.Image.Quantize.MAXCOVERAGE, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def birds(browser: str, picture: dict[str, str]) -> None:
    """Makes the pictures that show real birds, with a model of the nine calls in the example."""
    found = calls()
    recording(picture["recording"], found)
    with tempfile.TemporaryDirectory() as folder:
        sound, records, run_dir, heard, judged = (
            os.path.join(folder, name) for name in ("clips", "records", "run", "powdermill", "review")
        )
        clips(sound, found)
        wide = ("--chunk_seconds=2", "--overlap_seconds=0", "--val_share=0")
        _run("tools/make_tfrecords.py", f"--audio={sound}", *wide, f"--output={records}")
        _run("tools/inspect_tfrecords.py", f"--records={records}", f"--output={picture['contact']}", "--columns=3")
        _run("tools/show_batch.py", "--flagfile=configs/recommended.flags", f"--records={records}", "--batch_size=8",
             f"--output={picture['batch']}")  # fmt: skip
        brief = ("--norefit", "--epochs=60", "--seed=1")
        _run("-m", "bird_tf.train", f"--records={records}", *brief, f"--run_dir={run_dir}")
        doubtful = ("--min_probability=0.1", "--merge_seconds=-1", f"--audio={_EXAMPLE}.ogg")
        _run("-m", "bird_tf.predict", f"--model={run_dir}/export", *doubtful, f"--output={heard}")
        _run("-m", "bird_tf.review", f"--predictions={heard}", "--num_clips=20", f"--output={judged}")
        _page(browser, f"file://{judged}/index.html", picture["review"], 900, 760)


def demo(browser: str, picture: dict[str, str]) -> None:
    """Makes the pictures of the demo: its curves, and the report of a short training, which has mistakes to show."""
    _run("tools/demo.py", "--output=demo")
    _run("-m", "bird_tf.train", "--flagfile=configs/demo.flags", *_BRIEF, "--run_dir=demo/brief", "--overwrite")
    _run("-m", "bird_tf.evaluate", "--model=demo/brief/export", "--records=demo/records", "--tune")
    page = os.path.abspath("demo/brief/evaluation/report.html")
    _page(browser, f"file://{page}", picture["report"], 1100, 1300)
    _tensorboard(browser, "demo", picture["tensorboard"])


def main(settings: PicturesConfig) -> None:
    """Makes the pictures of `_WIDTHS`, and packages.png."""
    if not shutil.which(settings.browser):
        raise config.InputError(f"--browser={settings.browser}: no such program; install chromium")
    os.makedirs(settings.output, exist_ok=True)
    picture = {name: os.path.join(settings.output, f"{name}.png") for name in _WIDTHS}
    if _OF_PACKAGES in settings.only:
        _run("tools/package_map.py", f"--output={os.path.join(settings.output, 'packages.png')}")
    if _OF_BIRDS in settings.only:
        birds(settings.browser, picture)
    if _OF_DEMO in settings.only:
        demo(settings.browser, picture)
    for name in itertools.chain.from_iterable(_OF[kind] for kind in settings.only):
        shrink(picture[name], _WIDTHS[name])
        print(f"{picture[name]}: {os.path.getsize(picture[name]) / 1000:.0f} kB")


if __name__ == "__main__":
    command_line.run(main, PicturesConfig)
