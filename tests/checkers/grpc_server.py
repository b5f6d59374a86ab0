"""gRPC's own server, in a process of its own: its library keeps threads and descriptors.

`python -m tests.checkers.grpc_server DIRECTORY` serves with the health service, without it, and
with it over TLS (`key.pem` and `chain.pem` in DIRECTORY); it prints the three ports and stays until
its standard input ends.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

STATUSES = {
    "shop.Search": health_pb2.HealthCheckResponse.SERVING,
    "shop.Cart": health_pb2.HealthCheckResponse.NOT_SERVING,
    "shop.Orders": health_pb2.HealthCheckResponse.UNKNOWN,
}


def serve(*, healthy: bool, credentials: grpc.ServerCredentials | None = None) -> int:
    """Start one server and return its port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    if healthy:
        servicer = health.HealthServicer()
        for service, status in STATUSES.items():
            servicer.set(service, status)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if credentials is None:
        port: int = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    _kept.append(server)
    return port


_kept: list[grpc.Server] = []


def main(directory: Path) -> None:
    """Serve until nobody is there any more."""
    pair = (directory / "key.pem").read_bytes(), (directory / "chain.pem").read_bytes()
    secure = grpc.ssl_server_credentials([pair])
    ports = serve(healthy=True), serve(healthy=False), serve(healthy=True, credentials=secure)
    print(*ports, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
