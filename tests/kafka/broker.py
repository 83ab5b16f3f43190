"""
A real Apache Kafka for tests and benchmarks: one node, KRaft, on loopback, in a process of its own.

    with running_broker() as broker:            # or the fixtures of tests/kafka/conftest.py
        broker.create_topics(["pacing.spend_updates"], partitions=4)
        ... broker.bootstrap ...
        broker.kill(); broker.start()           # kill -9; the same port and the same data again

The jars come through Maven (tests/kafka/pom.xml) once, into .cache/ beside the code, and Java 17 or later runs
them. `python -m tests.kafka.broker` runs one by hand until Ctrl-C.

Everything here blocks; in a coroutine use `await asyncio.to_thread(broker.restart)`.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

KAFKA_VERSION: Final = "4.2.0"
JAVA_AT_LEAST: Final = 17
BOOTSTRAP_VARIABLE: Final = "PACING_TEST_KAFKA_BOOTSTRAP"

ROOT: Final = Path(__file__).resolve().parents[2]
JARS: Final = ROOT / ".cache" / f"kafka-{KAFKA_VERSION}"

START_DEADLINE_SECONDS: Final = 60.0
STOP_DEADLINE_SECONDS: Final = 30.0
FETCH_DEADLINE_SECONDS: Final = 600.0

# For a JVM that lives for minutes: what makes it fast in the long run costs a third of its start.
BRIEF: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")

# One node cannot replicate, and a test must not wait for members or partitions that never come.
SINGLE_NODE: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After kill -9 the controller refuses the broker's new self until the old one's session has ended (default 9 s).
    "broker.session.timeout.ms": "2500",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "log.retention.check.interval.ms": "10000",
    "offsets.retention.check.interval.ms": "60000",
    "message.max.bytes": str(10 * 1024 * 1024),
}


class BrokerUnavailableError(RuntimeError):
    """No real Kafka can be run here; the message says why and what to do about it."""


class Broker:
    """
    One Kafka process and the data directory that outlives it.

    *overrides* are further lines of server.properties; *cpu* pins the JVM to one core (Linux), where it is measured and
    may take its time to become fast; *heap_mb* is its maximal heap. Ports are chosen once, so that clients find it
    again after a restart.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        overrides: Mapping[str, str] | None = None,
        cpu: int | None = None,
        heap_mb: int = 768,
        jars: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port, self._controller_port = free_ports(2)
        self._java = [*_pin(cpu), *java_command(jars or ensure_jars(), heap_mb, *(BRIEF if cpu is None else ()))]
        self._properties = data_dir / "server.properties"
        self._properties.write_text(self._server_properties(overrides or {}), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._format()

    @property
    def bootstrap(self) -> str:
        """What a client is given as its bootstrap servers."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running JVM."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the process exists; it may still be starting."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """Where the broker's own log goes (warnings and errors)."""
        return self.data_dir / "server.log"

    def start(self, *, deadline_seconds: float = START_DEADLINE_SECONDS) -> None:
        """Start the process and return when the broker answers as a member of its cluster."""
        if self.is_running:
            raise RuntimeError("this broker is running already")
        with self.log_path.open("ab") as log:
            self._process = self._spawn("kafka.Kafka", str(self._properties), log=log)
        self._guard = _kill_when_we_are_gone(self._process.pid)
        wait_until(self._answers, deadline_seconds, what=f"Kafka on {self.bootstrap}", otherwise=self.log_tail)

    def stop(self, *, deadline_seconds: float = STOP_DEADLINE_SECONDS) -> None:
        """Stop it in order (SIGTERM); one that does not heed is killed. A stopped broker stays stopped."""
        if not self.is_running:
            return self._forget()
        process = self._running()
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return self._forget()

    def kill(self) -> None:
        """kill -9: what was not yet written to a file by the operating system's leave is gone."""
        self._running().kill()
        self._forget()

    def restart(self) -> None:
        """Stop it in order and start it on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def create_topics(
        self, names: Iterable[str], *, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics and return when their leaders are known."""
        create_topics(self.bootstrap, names, partitions=partitions, config=config)

    def log_tail(self, *, lines: int = 20) -> str:
        """The last lines of the broker's own log."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this broker is not running")
        return self._process

    def _answers(self) -> bool:
        """Whether the broker is up: registered with its controller and named in its own metadata."""
        if not self.is_running:
            raise BrokerUnavailableError(f"Kafka ended while it started:\n{self.log_tail()}")
        return bool(answering_brokers(self.bootstrap))

    def _forget(self) -> None:
        for process in (self._process, self._guard):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._guard = None

    def _server_properties(self, overrides: Mapping[str, str]) -> str:
        listeners = f"PLAINTEXT://127.0.0.1:{self.port}"
        placed = {
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "log.dirs": str(self.data_dir / "logs"),
        }
        return "".join(f"{name}={value}\n" for name, value in {**SINGLE_NODE, **placed, **overrides}.items())

    def _format(self) -> None:
        """Write the cluster id into the data directory, which Kafka refuses to start without."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(self._properties)]
        with self.log_path.open("ab") as log:
            code = self._spawn("kafka.tools.StorageTool", *arguments, log=log).wait(START_DEADLINE_SECONDS)
        if code != 0:
            raise BrokerUnavailableError(f"Kafka could not format its data directory:\n{self.log_tail()}")

    def _spawn(self, main_class: str, *arguments: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._java, main_class, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C ends the test run, whose fixtures then stop the broker in order
        )


@contextlib.contextmanager
def running_broker(
    *,
    overrides: Mapping[str, str] | None = None,
    cpu: int | None = None,
    heap_mb: int = 768,
    data_dir: Path | None = None,
) -> Iterator[Broker]:
    """
    A started broker, stopped at the end; its data goes with it unless *data_dir* is given.

    Raises BrokerUnavailableError where Java or Maven are missing.
    """
    with contextlib.ExitStack() as undo:
        if data_dir is None:
            data_dir = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="pacing-kafka-")))
        broker = Broker(data_dir, overrides=overrides, cpu=cpu, heap_mb=heap_mb)
        undo.callback(broker.stop)
        broker.start()
        yield broker


def create_topics(
    bootstrap: str, names: Iterable[str], *, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create topics and return when their leaders are known."""
    wanted = list(names)
    admin = _admin(bootstrap)
    topics = [NewTopic(name, partitions, 1, config=dict(config or {})) for name in wanted]
    for created in admin.create_topics(topics).values():
        created.result()
    wait_until(lambda: _have_leaders(admin, wanted), START_DEADLINE_SECONDS, what=f"leaders of {wanted}")


def answering_brokers(bootstrap: str, *, timeout_seconds: float = 1.0) -> list[str]:
    """The brokers that *bootstrap* names in its metadata now; empty when nothing answers in time."""
    try:
        metadata = _admin(bootstrap).list_topics(timeout=timeout_seconds)
    except KafkaException:
        return []
    return [f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()]


def outside_bootstrap() -> str | None:
    """The address of a Kafka that somebody else runs, from PACING_TEST_KAFKA_BOOTSTRAP."""
    return os.environ.get(BOOTSTRAP_VARIABLE) or None


def why_unavailable() -> str | None:
    """The reason why no broker can be run here, with what to do about it; None when one can."""
    if (found := java_version()) is None or found < JAVA_AT_LEAST:
        missing = f"Java {JAVA_AT_LEAST} or later is not installed"
    elif not _jars_are_there() and shutil.which("mvn") is None:
        missing = "Maven is not installed"
    else:
        return None
    return f"{missing}; install it, or run `docker compose up -d kafka` and set {BOOTSTRAP_VARIABLE}=127.0.0.1:9092"


def java_version() -> int | None:
    """The feature version of the Java on this machine (17, 21, ...); None where there is none."""
    java = shutil.which("java")
    if java is None:
        return None
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    return int(found[1]) if found else None


def java_command(jars: Path, heap_mb: int, *options: str) -> list[str]:
    """The command that starts a class of Kafka's, logging warnings and errors only."""
    return [
        shutil.which("java") or "java",
        *options,
        f"-Xmx{heap_mb}m",
        f"-Xms{min(heap_mb, 256)}m",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Djava.net.preferIPv4Stack=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        "-cp",
        f"{jars}/*",
    ]


def ensure_jars() -> Path:
    """
    Kafka's jars, fetched by Maven the first time; several processes may ask at once.

    Copied beside their place and renamed into it, so that a broken fetch leaves nothing that looks whole.
    """
    if (reason := why_unavailable()) is not None:
        raise BrokerUnavailableError(reason)
    JARS.parent.mkdir(parents=True, exist_ok=True)
    with (JARS.parent / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _jars_are_there():
            _fetch_jars()
    return JARS


def free_ports(count: int) -> list[int]:
    """
    Ports of loopback that nobody listens on now.

    A Kafka listens on its own seconds later. Of two test processes side by side each takes ports that the other does
    not; the kernel gives odd ones, so that every second pair is one's own.
    """
    side = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    ports: list[int] = []
    with contextlib.ExitStack() as held:
        while len(ports) < count:
            each = held.enter_context(socket.socket())
            each.bind(("127.0.0.1", 0))
            port = int(each.getsockname()[1])
            if port // 2 % 2 == side:
                ports.append(port)
    return ports


def wait_until(
    condition: Callable[[], bool],
    deadline_seconds: float,
    *,
    what: str,
    otherwise: Callable[[], str] = str,
    every_seconds: float = 0.05,
) -> None:
    """Poll *condition* until it holds; TimeoutError, with what *otherwise* tells, at the deadline."""
    end = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} was not ready within {deadline_seconds:g} s\n{otherwise()}")
        time.sleep(every_seconds)


def _jars_are_there() -> bool:
    return (JARS / f"kafka_2.13-{KAFKA_VERSION}.jar").exists()


def _fetch_jars() -> None:
    with tempfile.TemporaryDirectory(dir=JARS.parent, prefix="kafka-fetch-") as fetched:
        command = ["mvn", "--batch-mode", "--quiet", "--file", str(Path(__file__).with_name("pom.xml"))]
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fetched}/jars", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, *goal], capture_output=True, text=True, timeout=FETCH_DEADLINE_SECONDS, check=False
        )
        if done.returncode != 0:
            raise BrokerUnavailableError(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{done.stdout}{done.stderr}")
        Path(fetched, "jars").rename(JARS)


def _pin(cpu: int | None) -> list[str]:
    """The prefix that ties a command to one core, from its first thread on."""
    return [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]


def _kill_when_we_are_gone(pid: int) -> subprocess.Popen[bytes]:
    """
    A shell that waits for the other end of its pipe to close and then kills *pid*.

    So a test run that is itself killed leaves no JVM behind. Not PR_SET_PDEATHSIG: that fires when the
    *thread* that started the child ends, which a test's worker thread does.
    """
    script = 'read -r _; kill -9 "$0"'
    return subprocess.Popen(["sh", "-c", script, str(pid)], stdin=subprocess.PIPE, start_new_session=True)


def _admin(bootstrap: str) -> AdminClient:
    """A client that says nothing while the broker is down: the caller judges that."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": lambda _error: None})


def _have_leaders(admin: AdminClient, names: Iterable[str]) -> bool:
    known = admin.list_topics(timeout=5).topics
    return all(name in known and all(p.leader >= 0 for p in known[name].partitions.values()) for name in names)


def main() -> int:
    """Run a broker by hand until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.broker", description=main.__doc__)
    parser.add_argument("--cpu", type=int, help="the one core the broker may use")
    parser.add_argument("--data-dir", type=Path, help="keep the data here (default: a directory that goes with it)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a server property")
    arguments = parser.parse_args()
    overrides = {"auto.create.topics.enable": "true"} | dict(item.split("=", 1) for item in arguments.set)
    try:
        with running_broker(overrides=overrides, cpu=arguments.cpu, data_dir=arguments.data_dir) as broker:
            print(f"Kafka {KAFKA_VERSION} on {broker.bootstrap}, data in {broker.data_dir}; Ctrl-C ends it", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except BrokerUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
