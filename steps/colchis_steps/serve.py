"""Serve SavedModels and ONNX models over HTTP: TensorFlow Serving's V1 REST and the Open Inference Protocol V2.

Reads   --config    which models and versions, as JSON; read again whenever it changes
        --model     NAME=DIR in its place, once a model
Writes  --pid-path  pid and address while it runs; the file stays locked so long
"""

import argparse
import asyncio
import contextlib
import errno
import functools
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from colchis_steps._serving.config import Config, config_of, read_config
from colchis_steps._serving.daemon import Running, held
from colchis_steps._step.errors import InputError
from colchis_steps._step.flags import operations, positive, prog
from colchis_steps._step.home import port
from colchis_steps._step.main import entrypoint
from colchis_steps._store.opening import open_store

if TYPE_CHECKING:
    import uvicorn

    from colchis_steps._serving.server.app import Draining
    from colchis_steps._serving.server.loaded import Registry

POLL = 0.2  # seconds between looks at the configuration
LINGER = 1.0  # seconds after SIGTERM in which open connections are asked to close, by the answers that go over them
DRAIN = 20  # seconds that requests have to end then; with a preStop of 3 and 5 for the log it is under Kubernetes' 30
log = logging.getLogger("colchis")


def listen(host: str, number: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one.

    Raises:
        InputError: the port is in use or may not be used, or the host is not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio sets TCP_NODELAY only on sockets that say they are TCP; without it an answer waits 40 ms for an ACK
        opened = socket.socket(found[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(found[4])
            opened.listen(2048)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fix = "stop it or set COLCHIS_PORT / --port to a free one"
            raise InputError(f"port {number} on {host} is in use by another program; {fix}") from error
        raise InputError(f"{host}:{number} cannot be served ({error.strerror}); give other --host or --port") from error
    return opened


def opened_to_this_machine(opened: socket.socket) -> bool:
    """Return whether a socket listens on this machine's own addresses alone."""
    return ipaddress.ip_address(opened.getsockname()[0]).is_loopback


def watcher(
    registry: "Registry", read: Callable[[], tuple[Config, str]], path: Path | None, begin: Callable[[], None]
) -> Callable[[], Awaitable[None]]:
    """Return what keeps the registry as configured: it applies the configuration, and again after each change of it.

    ``begin`` is called first, in the event loop.
    """

    def look() -> tuple[int, int, int] | None:
        with contextlib.suppress(OSError):
            found = path.stat() if path else None
            return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None
        return None

    def apply() -> None:
        try:
            registry.apply(*read())
        except InputError as error:
            log.error("%s; what is served stays as it is", error)  # noqa: TRY400 - the sentence says it

    async def watch() -> None:
        begin()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "load") as pool:
            seen = look()
            await loop.run_in_executor(pool, apply)
            while True:
                await asyncio.sleep(POLL)
                if (now := look()) != seen:
                    seen = now
                    await loop.run_in_executor(pool, apply)

    return watch


def drain_on_signals(server: "uvicorn.Server", draining: "Draining") -> None:
    """Take SIGTERM and SIGINT over: answers ask clients to close, then the server ends; twice is at once.

    A server that closed its idle connections at once would lose a request that is on its way over one of them.
    """

    def end() -> None:
        server.should_exit = True

    def wait(over: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= over or not server.server_state.connections:
            return end()
        loop.call_later(0.02, wait, over)
        return None

    def asked() -> None:
        if draining.now:
            return end()
        draining.now = True
        log.info("asked to stop; answering what comes over open connections")
        return wait(asyncio.get_running_loop().time() + LINGER)

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, asked)


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise argparse.ArgumentTypeError(f"{text[:128]!r} is not a number from 0 to 1")
    return found


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog=prog("colchis_steps.serve"),
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m colchis_steps.serve --model digits=/models/digits",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="JSON, read again when it changes")
    what.add_argument("--model", action="append", metavar="NAME=DIR", help="a model, or versions 1, 2, … below DIR")
    p.add_argument(
        "--allow-operations", type=operations, default=(), metavar="NAMES", help="TensorFlow's, that may reach out"
    )
    p.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    p.add_argument("--port", type=int, metavar="N", help="default: $COLCHIS_PORT or 8501; 0 is any free one")
    p.add_argument("--grpc-port", type=int, metavar="N", help="serve gRPC there, too; 0 is any free one (none)")
    p.add_argument("--threads", type=positive, default=2, metavar="N", help="batches at work at once (%(default)s)")
    p.add_argument("--max-batch", type=positive, default=32, metavar="ROWS", help="1: no batches (%(default)s)")
    p.add_argument("--max-delay-ms", type=positive, default=3, metavar="N", help="wait for a batch (%(default)s)")
    p.add_argument(
        "--max-waiting", type=positive, default=256, metavar="N", help="requests; more get 429 (%(default)s)"
    )
    p.add_argument("--max-rows", type=positive, default=4096, metavar="N", help="of a request (%(default)s)")
    p.add_argument("--max-body-mib", type=positive, default=32, metavar="N", help="largest request (%(default)s)")
    p.add_argument("--max-answer-mib", type=positive, default=64, metavar="N", help="largest answer (%(default)s)")
    p.add_argument("--log-requests", type=fraction, default=0.0, metavar="FRACTION", help="kept in --log-to (none)")
    p.add_argument("--log-to", metavar="URL", help="the store that takes logged requests")
    p.add_argument("--max-connections", type=positive, metavar="N", help="half of them a peer (by the limit on files)")
    p.add_argument("--tokens", type=Path, metavar="FILE", help="JSON, bearer tokens by model; read when it changes")
    p.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="that clients call it by")
    p.add_argument("--allow-origin", action="append", default=[], metavar="URL", help="whose pages may ask it")
    p.add_argument("--pid-path", type=Path, metavar="FILE", help="hold this file and write pid and address to it")
    return p


@entrypoint
def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then let requests end."""
    args = parser().parse_args(argv)
    number = port() if args.port is None else args.port
    if not 0 <= number < 65536 or not 0 <= (args.grpc_port or 0) < 65536:
        wrong, flag = (number, "--port") if not 0 <= number < 65536 else (args.grpc_port, "--grpc-port")
        raise InputError(f"{wrong} is not a port; give {flag} a number from 0 to 65535")
    config: Path | None = args.config
    first = read_config(config) if config else (config_of(args.model, args.allow_operations), "")
    if args.log_requests and not args.log_to:
        raise InputError("--log-requests says no place; name the store that takes them with --log-to")
    store = open_store(args.log_to) if args.log_requests else None
    try:
        import uvicorn

        from colchis_steps._serving.server.access import LOOPBACK, Access, Tokens
        from colchis_steps._serving.server.app import Draining, app
        from colchis_steps._serving.server.batch import Limits
        from colchis_steps._serving.server.connections import guarded
        from colchis_steps._serving.server.loaded import Registry
        from colchis_steps._serving.server.predictions import Settings
        from colchis_steps._serving.server.request_log import Sampler
        from colchis_steps._serving.server.rpc import server as rpc
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; install it with: pip install 'colchis[serve]'") from error
    opened = listen(args.host, number)
    number = opened.getsockname()[1]
    host = f"[{args.host}]" if ":" in args.host else args.host
    url = f"http://{host}:{number}"
    registry, draining = Registry(), Draining()
    limits = Limits(args.max_batch, args.max_delay_ms / 1000, args.max_waiting)
    settings = Settings(args.threads, args.max_body_mib << 20, args.max_rows, limits, args.max_answer_mib << 20)

    def read() -> tuple[Config, str]:
        return read_config(config) if config else first

    watch = watcher(registry, read, config, begin=lambda: drain_on_signals(server, draining))
    logging_to = functools.partial(Sampler, store, args.log_requests) if store else None
    hosts = {name.lower() for name in args.allow_host} | (LOOPBACK if opened_to_this_machine(opened) else set())
    access = Access(hosts, args.allow_origin, Tokens(args.tokens) if args.tokens else None)
    beside = None
    if args.grpc_port is not None:
        listen(args.host, args.grpc_port).close()  # for a sentence where it may not be used
        told = functools.partial(log.info, "serving gRPC on %s:%d", host)
        serving = functools.partial(rpc.serving, address=f"{host}:{args.grpc_port}", bound=told)
        beside = functools.partial(serving, draining=draining, access=access)
    application = app(registry, watch, settings, draining=draining, logging_to=logging_to, access=access, beside=beside)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            http=guarded(args.max_connections or 0),
            ws="none",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN,
        )
    )
    for name in (signal.SIGTERM, signal.SIGINT):  # uvicorn drains, then sends the signal to who handled it before
        signal.signal(name, lambda *_: server.handle_exit(signal.SIGTERM, None))
    with held(args.pid_path, Running(os.getpid(), args.host, number)):
        log.info("serving %s on %s", ", ".join(first[0].models) or "nothing yet", url)
        server.run(sockets=[opened])
    log.info("stopped serving on %s", url)


if __name__ == "__main__":
    raise SystemExit(main())
