"""Starts a dispatcher or worker of a tf.data service, which makes training batches on other machines.

python tools/data_service.py --role=dispatcher --port=5000                              on one machine
python tools/data_service.py --role=worker --dispatcher=HOST:5000 --address=MY_HOST     on any number of others
python -m bird_tf.train … --data_service=grpc://HOST:5000

It runs until Ctrl-C. The workers read the records by the path that the training has.
"""

from __future__ import annotations

import dataclasses
import re
import signal

from bird_tf import command_line, config, files, tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """Flags of a dispatcher or worker."""

    role: str = config.option("worker", "what to start", choices=("dispatcher", "worker"))
    port: int = config.option(0, "port to listen on; 0: any free one")
    dispatcher: str = config.option("", "host:port of the dispatcher, for a worker")
    address: str = config.option("localhost", "name or address at which training reaches this worker")
    s3: bool = config.option(False, "the records lie on s3://; the workers then need tensorflow-io")

    def __post_init__(self) -> None:
        if self.role == "worker" and not re.fullmatch(r"[^/\s]+:\d+", self.dispatcher_address):
            given = f"={self.dispatcher}: not of the form host:port" if self.dispatcher else " is missing"
            raise config.InputError(f"--dispatcher{given}; a worker needs that of its dispatcher, as localhost:5050")

    @property
    def dispatcher_address(self) -> str:
        """The host:port of the dispatcher, also if it was given as the training wants it."""
        return self.dispatcher.removeprefix("grpc://")


def start(settings: ServiceConfig) -> tf.data.experimental.service.DispatchServer:
    """Starts a dispatcher or a worker.

    Raises:
        InputError: s3 without tensorflow-io.
    """
    service = tf.data.experimental.service
    if settings.role == "dispatcher":
        return service.DispatchServer(service.DispatcherConfig(port=settings.port))
    if settings.s3:
        files.enable("s3://")
    address = f"{settings.address}:%port%"
    return service.WorkerServer(
        service.WorkerConfig(dispatcher_address=settings.dispatcher_address, worker_address=address, port=settings.port)
    )


def main(settings: ServiceConfig) -> None:
    """Starts the server and waits.

    TensorFlow waits outside of Python, also for a dispatcher that is not there yet. No handler of ours runs then, so
    signals end the process at once; there is nothing to clean up.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if settings.role == "worker":
        print(f"waits for the dispatcher at {settings.dispatcher_address}; Ctrl-C ends it", flush=True)
    server = start(settings)
    print(f"{settings.role} runs; Ctrl-C ends it", flush=True)
    server.join()


if __name__ == "__main__":
    command_line.run(main, ServiceConfig)
