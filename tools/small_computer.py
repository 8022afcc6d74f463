"""Predicts without TensorFlow and bird_tf: python small_computer.py FOLDER RECORDING [float32|float16|int8 [TABLE]]

`bird_tf.export --tflite` or `--onnx` writes FOLDER. This needs numpy, soundfile, and tflite-runtime, ai-edge-litert or
onnxruntime; and soxr for recordings at another rate than the model's. It prints start, end, name and probability of
the most probable species of each chunk, and by which rules (f1, precision) of the model's thresholds it is present.
TABLE also gets the probabilities of all species, as chunks.csv of `bird_tf.predict`.
"""

import contextlib
import csv
import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TextIO

import numpy as np
import soundfile

Outputs = dict[str, Any]
Network = Callable[..., Outputs]
FORMAT_VERSION = 1  # of model.json
# a last chunk, padded with zeros, follows if so much is left of a recording, seconds
MINIMUM_SECONDS = 0.5
BLOCK_SECONDS = 10
# what no model needs
MOST_HZ, MOST_SECONDS = 1_000_000, 600
# as in bird_tf: what is no sample, and channels that cancel in their mean (every 29th sample tells)
LARGEST_SAMPLE, CANCELLING_SHARE, STEP, SILENCE = 1e12, 0.2, 29, 1e-10
# the sound by the header, as libsndfile tells it of files that are cut off; larger numbers stand for an unknown length
TOLD_BYTES = re.compile(r"^ *(?:SSND|Data Size|data) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_BYTES, UNKNOWN_FRAMES, LEAST_LOSS_SECONDS = 0x7F00_0000, 1 << 62, 0.1
FIRST_FRAME_BYTES = 256  # of MP3, which tells a length at its begin if the file does


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps standard error quiet while the block runs: what an interpreter remarks on itself is of no use here."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _package(*names: str) -> Any:
    """The first of these packages that is installed."""
    for name in names:
        with contextlib.suppress(ImportError), _silence():
            return importlib.import_module(name)
    sys.exit(f"error: need one of {', '.join(name.split('.')[0].replace('_', '-') for name in names)}")


def _interpreter(path: str, *, delegates: bool = True, all_tensors: bool = False) -> Any:
    """An interpreter of TensorFlow Lite. Without delegates or with all tensors more of the graph can be read."""
    lite = _package("tflite_runtime.interpreter", "ai_edge_litert.interpreter", "tensorflow.lite.python.interpreter")
    kinds = lite.OpResolverType
    resolver = kinds.AUTO if delegates else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return lite.Interpreter(
        path, num_threads=os.cpu_count(), experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=all_tensors,
    )  # fmt: skip


def _session(path: str) -> Any:
    return _package("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])


def network(path: str) -> Network:
    """A file of bird_tf as a function: its inputs by name → {name: output}."""
    if path.endswith(".onnx"):
        with _silence():
            session = _session(path)
        names = [output.name for output in session.get_outputs()]
        return lambda **inputs: dict(zip(names, session.run(names, inputs), strict=True))
    with _silence():
        runner = _interpreter(path).get_signature_runner()

    def run(**inputs: np.ndarray) -> Outputs:
        with _silence():
            return dict(runner(**inputs))

    return run


def backbone(path: str, described: dict[str, Any]) -> Callable[[np.ndarray], Outputs]:
    """A backbone as a function: windows [windows, samples] → the inputs of its head, each [windows, numbers]."""
    places = [described["scores"], described["embedding"]]
    with _silence():
        if path.endswith(".onnx"):
            session = _session(path)
            name = session.get_inputs()[0].name
        else:
            lite = _interpreter(path, delegates=described["delegates"], all_tensors=described["all_tensors"])
            lite.allocate_tensors()

    def one(window: np.ndarray) -> list[np.ndarray]:
        if path.endswith(".onnx"):
            return [part.reshape(-1) for part in session.run(places, {name: window})]
        lite.set_tensor(lite.get_input_details()[0]["index"], window)
        lite.invoke()
        return [lite.get_tensor(place).reshape(-1) for place in places]

    def run(windows: np.ndarray) -> Outputs:
        with _silence():
            found = [one(window.reshape(described["window_shape"])) for window in windows]
        scores, embeddings = (np.stack(parts) for parts in zip(*found, strict=True))
        return {"backbone_scores": scores, "backbone_embeddings": embeddings}

    return run


def load(folder: str, described: dict[str, Any], kind: str) -> Callable[[np.ndarray], Outputs]:
    """The model as a function: the sound of a chunk [span_samples] → {name: output for this chunk}."""
    suffix, file = ("onnx", "network") if os.path.exists(f"{folder}/network.onnx") else ("tflite", f"network_{kind}")
    if not os.path.exists(f"{folder}/{file}.{suffix}"):
        sys.exit(f"error: {folder} has no {file}.{suffix}; it has {', '.join(sorted(os.listdir(folder)))}")
    last = network(f"{folder}/{file}.{suffix}")
    if heard := described["backbone"]:
        size, ask = heard["window_shape"][-1], backbone(f"{folder}/{heard['file']}", heard)

        def features(span: np.ndarray) -> Outputs:
            return {"samples": span[None], **ask(np.stack([span[i : i + size] for i in heard["starts"]]))}
    elif os.path.exists(f"{folder}/frontend.{suffix}"):
        first = network(f"{folder}/frontend.{suffix}")

        def features(span: np.ndarray) -> Outputs:
            return first(samples=span[None])
    else:

        def features(span: np.ndarray) -> Outputs:
            return {"samples": span[None]}

    return lambda span: {name: values[0] for name, values in last(**features(span)).items()}


class _Powers:
    """The power of columns of numbers, without constant offsets."""

    def __init__(self, columns: int) -> None:
        self._sums = np.zeros((3, columns))

    def add(self, block: np.ndarray) -> None:
        """Adds [n, columns]."""
        wide = block.astype(np.float64)
        self._sums += np.stack([np.full(wide.shape[1], len(wide)), wide.sum(axis=0), (wide**2).sum(axis=0)])

    def each(self) -> np.ndarray:
        """[columns] power."""
        count, total, squares = self._sums
        return np.asarray(squares / np.maximum(1, count) - (total / np.maximum(1, count)) ** 2)


def _warn_of_cancelling(recording: str, powers: np.ndarray) -> None:
    """Warns of channels that cancel in their mean; `powers` are those of the channels, then that of the mean."""
    *each, mix = powers
    mean = np.mean(each)
    if len(each) > 1 and mean >= SILENCE and mix < CANCELLING_SHARE / len(each) * mean:
        print(
            f"warning: {recording}: its channels cancel each other in their mean, which the model hears",
            file=sys.stderr,
        )


def _samples(file: soundfile.SoundFile) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks [n, channels] float32, with zeros for what is no sample, and how many of the n frames hold such.

    They end where the file cannot be decoded any further.
    """
    is_whole = True
    while is_whole:
        block = np.full((BLOCK_SECONDS * file.samplerate, file.channels), np.nan, np.float32)
        try:
            block = file.read(out=block)
        except soundfile.SoundFileError:
            block, is_whole = block[: int(np.argmax(np.isnan(block[:, 0])))], False  # what was decoded before
        if not len(block):
            return
        usable = np.abs(block) < LARGEST_SAMPLE  # which NaN is not
        yield np.where(usable, block, np.float32(0)), int(np.sum(~usable.all(axis=1)))


def _tells_length(recording: str) -> bool:
    """Whether the first frame of an MP3 file, behind the ID3v2 tags, is that of LAME, which tells the length."""
    with open(recording, "rb") as file:
        head = file.read(FIRST_FRAME_BYTES)
        while head.startswith(b"ID3") and len(head) == FIRST_FRAME_BYTES:
            size = sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            file.seek(size + 10 + 10 * bool(head[5] & 16) - FIRST_FRAME_BYTES, os.SEEK_CUR)  # 16: it has a footer
            head = file.read(FIRST_FRAME_BYTES)
    return b"Xing" in head or b"Info" in head


def _warn_of_early_end(recording: str, file: soundfile.SoundFile, num_frames: int) -> None:
    """Warns of a file of which so many frames can be read, and whose header tells more: not of Ogg, W64, RF64."""
    told = file.frames if file.frames < UNKNOWN_FRAMES else 0
    if found := TOLD_BYTES.search(file.extra_info):
        claimed, held = map(int, found.groups())
        told = round(told * claimed / held) if 0 < held < claimed < UNKNOWN_BYTES else told
    elif file.format == "MP3":
        told = told if _tells_length(recording) else 0  # else the length is a guess
    if (missing := told - num_frames) > LEAST_LOSS_SECONDS * file.samplerate:
        rate = file.samplerate
        print(
            f"warning: {recording}: {missing / rate:.1f} of {told / rate:.1f} s cannot be decoded (the file ends early "
            "or is damaged); the rest is used", file=sys.stderr,
        )  # fmt: skip


def _selector(recording: str, channel: str) -> Callable[[np.ndarray], np.ndarray]:
    """What makes one channel, as --channel of the training, of blocks [n, channels]."""
    if channel == "mix":
        return lambda block: block.mean(axis=1)
    if channel == "loudest":
        with soundfile.SoundFile(recording) as file:
            powers = _Powers(file.channels)
            for samples, _ in _samples(file):
                powers.add(samples)
        loudest = int(np.argmax(powers.each()))
        return lambda block: block[:, loudest]
    if int(channel) > (has := soundfile.info(recording).channels):
        sys.exit(f"error: the model hears channel {channel}, and {recording} has {has}")
    return lambda block: block[:, int(channel) - 1]


def _blocks(recording: str, rate: int, channel: str) -> Iterator[np.ndarray]:
    """The samples of a recording, [n] float32 at a rate."""
    with soundfile.SoundFile(recording) as file:
        if file.samplerate > MOST_HZ:
            sys.exit(f"error: {recording} is damaged (a sample rate of {file.samplerate} Hz)")
        select, powers, num_frames, num_lost = _selector(recording, channel), _Powers(file.channels + 1), 0, 0
        resampler: Any = None
        if file.samplerate != rate:
            resampler = _package("soxr").ResampleStream(file.samplerate, rate, 1, dtype="float32", quality="HQ")
        for samples, lost in _samples(file):
            block, num_frames, num_lost = select(samples), num_frames + len(samples), num_lost + lost
            powers.add(np.column_stack([samples[::STEP], block[::STEP]]))
            yield resampler.resample_chunk(block) if resampler else block
        if num_lost == num_frames:
            sys.exit(f"error: {recording}: holds no usable samples")
        _warn_of_early_end(recording, file, num_frames)
        if num_lost:
            print(
                f"warning: {recording}: {num_lost} samples are no finite numbers; zeros stand for them", file=sys.stderr
            )
        if channel == "mix":
            _warn_of_cancelling(recording, powers.each())
        if resampler:
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def spans(recording: str, described: dict[str, Any]) -> Iterator[tuple[float, float, np.ndarray]]:
    """Start and end of each chunk, seconds, and its sound: the chunk in the middle of span_samples."""
    rate, span, before = (described[name] for name in ("sample_rate_hz", "span_samples", "samples_before"))
    size = round(rate * described["chunk_seconds"])
    pending, start, end = np.zeros(before, np.float32), 0, 0
    for block in _blocks(recording, rate, described["channel"]):
        pending, end = np.concatenate([pending, block]), end + len(block)
        while len(pending) >= span:
            yield start / rate, (start + size) / rate, pending[:span]
            pending, start = pending[size:], start + size
    while start + size <= end or end - start >= MINIMUM_SECONDS * rate or (start == 0 and end):
        yield start / rate, min(start + size, end) / rate, np.pad(pending, (0, max(0, span - len(pending))))[:span]
        pending, start = pending[size:], start + size


def _described(folder: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """What model.json and classes.csv say."""
    with open(f"{folder}/model.json", encoding="utf-8") as file, _naming_damage(file.name):
        described = json.load(file)
        if "format_version" in described and described["format_version"] > FORMAT_VERSION:
            sys.exit(f"error: a newer bird_tf wrote {file.name}; copy the small_computer.py that came with it")
        _check(described)
    with open(f"{folder}/classes.csv", newline="", encoding="utf-8") as file, _naming_damage(file.name):
        classes = list(csv.DictReader(file))
        if not all(row["class_id"] and row["name"] for row in classes):
            raise ValueError("a name is missing")
    return described, classes


def _check(described: dict[str, Any]) -> None:
    """Refuses, with a ValueError, LookupError or TypeError, what would end in an error later."""
    counts = rate, span, before = [described[name] for name in ("sample_rate_hz", "span_samples", "samples_before")]
    seconds, heard = described["chunk_seconds"], described["backbone"]
    if heard:
        size, starts = heard["window_shape"][-1], heard["starts"]
        counts += [size, *starts]
        if not (isinstance(heard["file"], str) and 0 < size <= span and 0 <= min(starts) <= max(starts) <= span - size):
            raise ValueError("the backbone's window_shape and starts do not fit")
    if not (
        all(type(count) is int for count in counts)
        and 0 < rate <= MOST_HZ
        and 0 < seconds <= MOST_SECONDS
        and 0 <= before < span <= MOST_SECONDS * rate
    ):
        raise ValueError("sample_rate_hz, chunk_seconds, span_samples and samples_before do not fit")
    if not re.fullmatch(r"mix|loudest|\d{1,3}", described["channel"], re.ASCII):
        raise ValueError("channel must be mix, loudest or a number")


@contextlib.contextmanager
def _naming_damage(path: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, csv.Error, RecursionError) as error:
        sys.exit(f"error: {path} is damaged ({error}); copy the folder again")


@contextlib.contextmanager
def _writing(table: str) -> Iterator[TextIO]:
    """A text file that has its name when it is complete; "": nowhere."""
    path = f"{table}.partial" if table else os.devnull
    try:
        with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        if table:
            os.replace(path, table)
    except BaseException:
        if table and os.path.exists(path):
            os.remove(path)
        raise


def main(folder: str, recording: str, kind: str = "float32", table: str = "") -> None:
    """Prints a line for each chunk."""
    if not os.path.exists(f"{folder}/model.json"):
        sys.exit(f"error: {folder}/model.json is not there; write the folder with bird_tf.export --tflite or --onnx")
    described, classes = _described(folder)
    predict = load(folder, described, kind)
    with _writing(table) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["recording_id", "start_seconds", "end_seconds", *(row["class_id"] for row in classes)])
        for start, end, span in spans(recording, described):
            outputs = predict(span)
            probabilities = outputs["probabilities"]
            if len(probabilities) != len(classes):
                sys.exit(f"error: {folder}/classes.csv is that of another model; copy the folder again")
            best = int(np.argmax(probabilities))
            rules = ",".join(rule for rule in ("f1", "precision") if outputs[f"present_{rule}"][best])
            name = classes[best]["name"] if probabilities[best] > 0 else ""  # nothing is heard in silence
            print(f"{start:.2f}\t{end:.2f}\t{name}\t{probabilities[best]:.4f}\t{rules}")
            times = (f"{start:.3f}", f"{end:.3f}")
            rows.writerow([os.path.basename(recording), *times, *(f"{p:.6f}" for p in probabilities)])


def _stop(number: int, _: FrameType | None) -> None:
    """Ends the script after a signal, so that no part of a table is left."""
    print(f"error: stopped by {signal.Signals(number).name}", file=sys.stderr)
    sys.exit(128 + number)


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    for stopping in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stopping, _stop)
    try:
        main(*sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, as after `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except (OSError, soundfile.SoundFileError) as error:  # a recording that cannot be read, a full disk
        sys.exit(f"error: {error}")
