"""A small Python client for Hashpit: keys, unary calls, and an order session that resumes itself.
Needs grpcio, grpcio-tools, protobuf and cryptography; generates its message classes at start."""

import base64
import importlib
import json
import queue
import sys
import tempfile
import threading
import time
from functools import partial
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

# The two messages of google.rpc that carry a refusal, under a name that cannot clash.
ERROR_DETAILS = """syntax = "proto3"; package hashpit.client; import "google/protobuf/any.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
"""
OPEN_SESSION = "trading.v1.TradingService/OpenSession"
Code = grpc.StatusCode
# A stream that ends like this is worth a new login. Anything else is an answer.
LOST = {Code.UNAVAILABLE, Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED, Code.RESOURCE_EXHAUSTED}


class Refused(Exception):
    """The exchange said no: certainly not done. After any other RpcError the outcome is unknown."""

    def __init__(self, code, reason, domain, message):
        super().__init__(f"{code.name} {reason}: {message}")
        self.code, self.reason, self.domain = code, reason, domain


class SequenceFault(Exception):
    """The server broke the rules of event_seq."""


class Api:
    """The contract: `api.trading.NewOrder`, `api.common.SIDE_BUY`, one namespace per package."""

    def __init__(self, proto_root):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "error_details.proto").write_text(ERROR_DETAILS)
            found = sorted(Path(proto_root).rglob("*.proto"))
            files = [file.relative_to(proto_root).as_posix() for file in found]
            include = [proto_root, folder, resources.files("grpc_tools") / "_proto"]
            options = [f"-I{path}" for path in include] + [f"--python_out={folder}"]
            if not files or protoc.main(["", *options, "error_details.proto", *files]) != 0:
                raise RuntimeError(f"no message classes from the .proto files under {proto_root}")
            sys.path.insert(0, folder)
            for file in files:
                module = importlib.import_module(file[:-6].replace("/", ".") + "_pb2")
                area = vars(self).setdefault(file.split("/")[1], SimpleNamespace())
                vars(area).update(vars(module))
            self.errors = importlib.import_module("error_details_pb2")
            sys.path.remove(folder)

    def refusal(self, error):
        """The exchange's own refusal inside a gRPC error, or None: then the outcome is unknown."""
        status = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        for detail in self.errors.Status.FromString(status).details:
            if detail.type_url.endswith("/google.rpc.ErrorInfo"):
                info = self.errors.ErrorInfo.FromString(detail.value)
                return Refused(error.code(), info.reason, info.domain, error.details())
        return None


class Key:
    """A private key from its key file. Mints one short-lived token per call."""

    def __init__(self, path):
        file = json.loads(Path(path).read_text())
        self._private = Ed25519PrivateKey.from_private_bytes(
            base64.urlsafe_b64decode(file["private_key"] + "="))  # 32 bytes: one "=" is missing
        self.key_id = "hk-" + self._private.public_key().public_bytes_raw()[:10].hex()
        assert self.key_id == file["key_id"], f"bad key file {path}: key_id is of another key"

    def mint(self, path, now=None, life_seconds=30):
        now = int(time.time()) if now is None else now
        header = {"alg": "EdDSA", "typ": "JWT", "kid": self.key_id}
        claims = {"aud": "hashpit", "iat": now, "exp": now + life_seconds, "method": path}
        encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, claims))
        signed = ".".join(map(encode, parts))
        return f"{signed}.{encode(self._private.sign(signed.encode()))}"


class Client:
    """One key at one address."""

    def __init__(self, api, address, key):
        self.api, self.key, self._address = api, key, address
        self.channel = self.open_channel()

    def open_channel(self):
        """A TCP connection of its own; gRPC would otherwise share one between channels."""
        return grpc.insecure_channel(self._address, [("grpc.use_local_subchannel_pool", 1)])

    def call(self, name, **fields):
        """One unary call. Raises Refused, or grpc.RpcError when the outcome is unknown."""
        request, invoke = self.bind(self.channel.unary_unary, name)
        try:
            return invoke(request(**fields), timeout=10)
        except grpc.RpcError as error:
            raise self.api.refusal(error) or error from None

    def bind(self, shape, name):
        """Request class of a method, and the method with a fresh token for exactly one call."""
        service, method = f"hashpit.{name}".split("/")
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
        request, response = map(GetMessageClass, (found.input_type, found.output_type))
        invoke = shape(f"/hashpit.{name}", request.SerializeToString, response.FromString)
        token = self.key.mint(f"/hashpit.{name}")
        return request, partial(invoke, metadata=(("authorization", f"Bearer {token}"),))


class Session:
    """An order session that survives its connections.

    A lost stream is resumed by itself after the last event seen, and commands that the core does
    not know are sent again. `drop` breaks the connection on purpose; `connect` then resumes.
    `events` holds every journaled event once, in order; a gap or repeat is raised in who waits.
    """

    def __init__(self, client, account_id, name, heartbeat_ms=1000, grace_ms=0):
        self._client, self._api = client, client.api
        self._login = {
            "session_name": name, "account_id": account_id, "heartbeat_interval_ms": heartbeat_ms,
            "disconnect_grace_ms": grace_ms, "client_software": "hashpit_client.py"}
        self._interval = heartbeat_ms / 1000
        self._changed, self._unanswered = threading.Condition(), {}  # client_seq -> request
        self._wanted, self._thread, self._call, self._outbox = False, None, None, None
        self.next_client_seq = self.last_event_seq = None
        self.events, self.received = [], []  # journaled, once each; all but heartbeats, as it came
        self.images = []  # open orders at the last login
        self.established = self.terminated = self.status = self.fault = None
        self.caught_up, self.stopped = False, True

    def connect(self):
        """Logs on, or resumes, and returns Established once the replay is complete."""
        assert self.stopped, "already connected"
        self._wanted, self.stopped, self.caught_up = True, False, False
        self._thread = threading.Thread(target=self._stay_connected, daemon=True)
        self._thread.start()
        self.wait_until("end of the replay", lambda: self.caught_up)
        return self.established

    def drop(self):
        """Breaks the connection without Terminate, as a crash or a cut cable would."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()
            if self._call:
                self._call.cancel()
        self._thread.join()

    def send(self, **command):
        """Sends new_order={..}, replace={..}, cancel={..}, mass_cancel={..} or terminate={..} and
        returns its client_seq. While the connection is away it waits for the next login; it gets
        another number then only if the gateway refused an earlier command."""
        with self._changed:
            return self._number(self._api.trading.OpenSessionRequest(**command))

    def wait(self, what, wanted, timeout=10):
        """The first event ever received for which `wanted(event)` holds."""
        self.wait_until(what, lambda: any(map(wanted, self.received)), timeout)
        return next(filter(wanted, self.received))

    def wait_until(self, what, condition, timeout=10):
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if self.fault:
                    raise self.fault
                if self.stopped:
                    raise ConnectionError(f"session ended with {self.status}, no {what}")
                if left <= 0:
                    raise TimeoutError(f"no {what} within {timeout} s")
                self._changed.wait(left)

    def _stay_connected(self):
        pause = 0.05
        while self._wanted:
            self._one_connection()
            with self._changed:
                reason = self.terminated.problem.reason if self.terminated else 0
                if reason == self._api.common.REASON_RESUME_TOO_OLD:
                    self.last_event_seq = None  # images this time; ListFills tells what was missed
                elif self.status not in LOST or reason == self._api.common.REASON_SESSION_FENCED:
                    break
                pause = 0.05 if self.caught_up else min(2 * pause, 2)
                self._changed.wait_for(lambda: not self._wanted, pause)
        with self._changed:
            self._wanted, self.stopped = False, True
            self._changed.notify_all()

    def _one_connection(self):
        outbox = queue.SimpleQueue()
        with self._client.open_channel() as channel:
            with self._changed:
                if not self._wanted:
                    return
                login = {**self._login, "resume_after_event_seq": self.last_event_seq}
                outbox.put(self._api.trading.OpenSessionRequest(establish=login))
                self.caught_up, self.images, self.terminated = False, [], None
                self._heard = time.monotonic()
                _, invoke = self._client.bind(channel.stream_stream, OPEN_SESSION)
                self._call = invoke(self._requests(outbox))
            try:
                for response in self._call:
                    with self._changed:
                        for event in response.events:
                            self._apply(event, outbox)
                        self._changed.notify_all()
                self.status = self._call.code()
            except grpc.RpcError as error:
                self.status = error.code()
            except SequenceFault as fault:
                self.status, self.fault = Code.DATA_LOSS, fault
            with self._changed:
                self._outbox = None
                outbox.put(None)

    def _requests(self, outbox):
        """What gRPC sends: commands as they come, a heartbeat when there are none."""
        while True:
            try:
                request = outbox.get(timeout=self._interval / 3)
            except queue.Empty:
                if time.monotonic() - self._heard > 3 * self._interval:
                    self._call.cancel()  # a silent server is a dead connection
                beat = {"client_unix_nanos": time.time_ns()}
                request = self._api.trading.OpenSessionRequest(heartbeat=beat)
            if request is None:
                return
            yield request

    def _number(self, request):
        request.client_seq = self.next_client_seq
        self.next_client_seq += 1
        self._unanswered[request.client_seq] = request
        if self._outbox:
            self._outbox.put(request)
        return request.client_seq

    def _apply(self, event, outbox):
        kind = event.WhichOneof("event")
        self._heard = time.monotonic()
        self._unanswered.pop(event.client_seq, None)
        if kind != "heartbeat":
            self.received.append(event)
        if event.event_seq:
            self._count(event)
        if kind == "established":
            self._start(event.established, outbox)
        elif kind == "order_image":
            self.images.append(event.order_image)
        elif kind == "replay_complete":
            if event.replay_complete.up_to_event_seq != self.last_event_seq:
                raise SequenceFault(f"{event.replay_complete} after {self.last_event_seq}")
            # A lower number without an event was refused before the core: not sent again.
            expected = self.established.next_client_seq
            self._unanswered = {n: c for n, c in self._unanswered.items() if n >= expected}
            self.caught_up = True
        elif kind == "terminated":
            self.terminated = event.terminated

    def _count(self, event):
        if event.event_seq == self.last_event_seq + 1:
            self.last_event_seq = event.event_seq
            self.events.append(event)
        elif not (self.caught_up and event.replayed and event.event_seq <= self.last_event_seq):
            # The exception is the stored answer to a repeated command, which is no new event.
            raise SequenceFault(f"event_seq {event.event_seq} after {self.last_event_seq}")

    def _start(self, established, outbox):
        self.established = established
        self._interval = established.heartbeat_interval_ms / 1000
        if self.last_event_seq is None:
            self.last_event_seq = established.last_event_seq
        elif established.last_event_seq < self.last_event_seq:
            raise SequenceFault(f"server forgot {self.last_event_seq}, at {established}")
        # The core does not know these: same commands again, in order, from the number it expects.
        unknown = [n for n in sorted(self._unanswered) if n >= established.next_client_seq]
        commands = [self._unanswered.pop(n) for n in unknown]
        self.next_client_seq, self._outbox = established.next_client_seq, outbox
        for command in commands:  # as copies: the former connection may still be reading these
            self._number(type(command).FromString(command.SerializeToString()))
