"""Starts a dispatcher or worker of a tf.data service, which makes training batches on other machines.

python tools/data_service.py --role=dispatcher --port=5000                              on one machine
python tools/data_service.py --role=worker --dispatcher=HOST:5000 --address=MY_HOST     on any number of others
python -m bird_tf.train … --data_service=grpc://HOST:5000

It runs until Ctrl-C. The workers read the records by the path that the training has.
"""

from __future__ import annotations

import dataclasses

from bird_tf import command_line, config, files, tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """Flags of a dispatcher or worker."""

    role: str = config.option("worker", "what to start", choices=("dispatcher", "worker"))
    port: int = config.option(0, "port to listen on; 0: any free one")
    dispatcher: str = config.option("", "host:port of the dispatcher, for a worker")
    address: str = config.option("localhost", "name or address at which training reaches this worker")
    s3: bool = config.option(False, "the records lie on s3://; the workers then need tensorflow-io")


def start(settings: ServiceConfig) -> tf.data.experimental.service.DispatchServer:
    """Starts a dispatcher or a worker.

    Raises:
        InputError: a worker without a dispatcher, or s3 without tensorflow-io.
    """
    service = tf.data.experimental.service
    if settings.role == "dispatcher":
        return service.DispatchServer(service.DispatcherConfig(port=settings.port))
    if not settings.dispatcher:
        raise config.InputError("--dispatcher is missing: a worker needs its host:port")
    if settings.s3:
        files.enable("s3://")
    address = f"{settings.address}:%port%"
    return service.WorkerServer(
        service.WorkerConfig(dispatcher_address=settings.dispatcher, worker_address=address, port=settings.port)
    )


def main(settings: ServiceConfig) -> None:
    """Starts the server and waits."""
    server = start(settings)
    print(f"{settings.role} runs; Ctrl-C ends it", flush=True)
    server.join()


if __name__ == "__main__":
    command_line.run(main, ServiceConfig)
