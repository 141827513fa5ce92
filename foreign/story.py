"""The main job, told by a client that shares no code with the project: Python's ssl for TLS,
pyca/cryptography for keys, CSRs and certificates, joserfc and rfc8785 for receipts.

    python3 foreign/story.py target/debug/reference-server
"""

import base64
import contextlib
import datetime
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
import zlib

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from palm_server import PalmServer

ADMIN = "root@example.com"
FIRST_PASSWORD = "first-password-of-root"
PASSWORD = "correct horse battery staple"


def step(text):
    print(f"[{time.monotonic() - STARTED:6.2f}s] {text}", flush=True)


STARTED = time.monotonic()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def server_certificate():
    """A self-signed certificate for localhost, as an operator would bring one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem_of(key)


def palm_image(palm):
    """A PNG of one pixel whose tEXt chunk names the palm; every capture differs."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    text = b"Comment\0PALM:%s;%s" % (palm, uuid.uuid4().hex.encode())
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"tEXt", text)
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )


def capture(palm, kind=None):
    template = {
        name: base64.b64encode(palm_image(palm)).decode() for name in ("image_rgb", "image_ir")
    }
    template["features_rgb"] = base64.b64encode(b"features of " + palm).decode()
    if kind:
        template["type"] = kind
    return {"palm_template": template}


class Server:
    """The real binary in a folder of its own."""

    def __init__(self, binary, folder, palm_url):
        self.binary = binary
        self.port = free_port()
        self.env = {
            **os.environ,
            "DATABASE_URL": f"sqlite://{folder}/identity.db",
            "IDENTITY_LISTEN": f"127.0.0.1:{self.port}",
            "IDENTITY_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
            "PLATFORM_ADMIN_EMAIL": ADMIN,
            "PLATFORM_ADMIN_INITIAL_PASSWORD": FIRST_PASSWORD,
            "BIOWAVE_URL": palm_url,
            "IDENTITY_LOG": "warn",
        }
        self.folder = folder
        self.process = None
        self.context = None

    def start(self):
        self.process = subprocess.Popen([self.binary, "serve"], env=self.env, cwd=self.folder)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}")
            time.sleep(0.05)
        raise SystemExit("the server does not listen")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            return self.process.wait(40)

    def connect(self, context=None, session=None):
        context = context or self.context
        if context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        raw = socket.create_connection(("127.0.0.1", self.port), 40)
        connection = http.client.HTTPConnection("localhost", self.port)
        connection.sock = context.wrap_socket(raw, server_hostname="localhost", session=session)
        return connection

    def read(self, path, token):
        """An answer that is no JSON document."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        assert response.status == 200, f"GET {path}: {response.status} {raw[:2000]!r}"
        return raw

    def call(self, method, path, body=None, token=None, context=None, headers=None, expect=200):
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = self.connect(context)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        wanted = expect if isinstance(expect, tuple) else (expect,)
        assert response.status in wanted, f"{method} {path}: {response.status} {raw[:2000]!r}"
        return json.loads(raw) if raw else None


def multipart(**files):
    boundary = uuid.uuid4().hex
    body = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s.pem"\r\n'
        b"Content-Type: application/x-pem-file\r\n\r\n%s\r\n"
        % (boundary.encode(), name.encode(), name.encode(), data)
        for name, data in files.items()
    )
    return body + b"--%s--\r\n" % boundary.encode(), {
        "Content-Type": f"multipart/form-data; boundary={boundary}"
    }


def sign_in(server, email, old, new):
    """Signs in with a first password, changes it as demanded, and returns the session's token."""
    login = server.call("POST", "/v1/auth/login", {"email": email, "password": old})
    assert login["must_change_password"] is True
    token = login["session"]["token"]
    refused = server.call("GET", "/v1/admin/ssl/status", token=token, expect=403)
    assert refused["error"] == "password_change_required"
    change = {"current_password": old, "new_password": new}
    server.call("POST", "/v1/auth/password", change, token=token, expect=204)
    return token


def csr_for(key):
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever the device says")])
    )
    request = builder.sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def check_profile(pem, key, ca_pem, tenant, device):
    """The seed's table, field by field, as pyca and OpenSSL read it."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    ca = x509.load_pem_x509_certificate(ca_pem.encode())
    certificate.verify_directly_issued_by(ca)
    public = certificate.public_key()
    assert isinstance(public.curve, ec.SECP256R1)
    assert public.public_numbers() == key.public_key().public_numbers()
    assert certificate.subject.rfc4514_string() == f"CN={device}"
    lifetime = certificate.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=89) < lifetime <= datetime.timedelta(days=90), lifetime
    extensions = certificate.extensions
    san = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    uri = f"urn:link:tenant:{tenant}:device:{device}"
    assert [(type(n), n.value) for n in san.value] == [(x509.UniformResourceIdentifier, uri)]
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and not (usage.key_cert_sign or usage.key_agreement)
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and not basic.value.ca
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text"], input=pem, text=True, capture_output=True, check=True
    ).stdout
    for line in [
        "ASN1 OID: prime256v1",
        "Signature Algorithm: ecdsa-with-SHA256",
        f"Subject: CN = {device}",
        f"URI:{uri}",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "TLS Web Client Authentication",
        "Digital Signature",
    ]:
        assert line in text, f"{line!r} is not in:\n{text}"


class Device:
    """A scanner: a key, a certificate, and TLS contexts made of them."""

    def __init__(self, server, folder, trust):
        self.server, self.folder, self.trust = server, folder, trust
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.chain = None

    def keep(self, answer):
        self.certificate, self.chain = answer["certificate"], answer["ca_chain"]

    def context(self, version=None):
        path = os.path.join(self.folder, f"{uuid.uuid4().hex}.pem")
        with open(path, "wb") as file:
            file.write(pem_of(self.key) + self.certificate.encode() + self.chain.encode())
        context = ssl.create_default_context(cafile=self.trust)
        context.load_cert_chain(path)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def fingerprint(self):
        certificate = x509.load_pem_x509_certificate(self.certificate.encode())
        return certificate.fingerprint(hashes.SHA256())

    def call(self, method, path, body=None, expect=200):
        return self.server.call(method, path, body, context=self.context(), expect=expect)


def is_refused(server, context, session=None):
    """Whether the handshake ends the connection before one HTTP byte is read.

    A TLS 1.3 client's handshake is over before the server judges its certificate, so the proof is
    the first read.
    """
    try:
        connection = server.connect(context, session)
        connection.request("GET", "/v1/challenges/pending")
        answer = connection.sock.recv(1)
    except (ssl.SSLError, ConnectionError):
        return True
    return answer == b""


def b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(server, token, kind):
    """What a receipt says, once its signature holds against the published key."""
    head, claims, signature = token.split(".")
    header = json.loads(b64url(head))
    assert header["typ"] == kind and header["alg"] == "ES256"
    keys = server.call("GET", "/.well-known/jwks.json")["keys"]
    jwk = next(key for key in keys if key["kid"] == header["kid"])
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(b64url(jwk["x"]), "big"), int.from_bytes(b64url(jwk["y"]), "big"), ec.SECP256R1()
    )
    raw = b64url(signature)
    der = utils.encode_dss_signature(
        int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    )
    numbers.public_key().verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(b64url(claims))


def altered(token):
    """Tokens that say something else than the one that was signed, or are signed by nobody."""
    head, claims, signature = token.split(".")
    said = json.loads(b64url(claims))
    unsigned = encoded(json.loads(b64url(head)) | {"alg": "none"})
    yield f"{head}.{encoded(said | {'sub': 'somebody_else'})}.{signature}"
    yield f"{head}.{claims}.{encoded_bytes(bytes(64))}"
    yield f"{unsigned}.{claims}.{signature}"
    yield f"{unsigned}.{claims}."


def encoded(value):
    return encoded_bytes(json.dumps(value).encode())


def encoded_bytes(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def check_receipt(jwks, token, device, expected, metadata):
    """The receipt, offline: joserfc has the published keys and rfc8785 the integrator's own metadata."""
    keys = KeySet.import_key_set(jwks)
    receipt = jwt.decode(token, keys, algorithms=["ES256"])
    assert receipt.header["typ"] == "verification-receipt+jwt" and receipt.header["alg"] == "ES256"
    said = receipt.claims
    required = {name: {"essential": True, "value": value} for name, value in expected.items()}
    jwt.JWTClaimsRegistry(**required).validate(said)
    for other in altered(token):
        try:
            jwt.decode(other, keys, algorithms=["ES256"])
        except JoseError:
            continue
        raise AssertionError(f"{other} was not signed by the platform")
    meta_hash = hashlib.sha256(rfc8785.dumps(metadata)).digest()
    assert b64url(said["meta_hash"]) == meta_hash
    assert b64url(said["cnf"]["x5t#S256"]) == device.fingerprint()
    assert said["amr"] == ["palm", "hwk"] and said["verdict"] == "match"
    assert said["policy_version"].startswith("1/all/") and abs(said["iat"] - time.time()) < 600
    claims = {"meta_hash", "cnf", "amr", "verdict", "policy_version", "iat", *expected}
    assert set(said) == claims, "no scores, no biometrics"


def check_chain(export):
    """Each row's hash, and that it goes on from the row before, by another's RFC 8785. The chain's head."""
    head = bytes(32)
    for line in export.splitlines():
        row = json.loads(line)
        assert bytes.fromhex(row.pop("prev_hash")) == head, line
        told = bytes.fromhex(row.pop("hash"))
        head = hashlib.sha256(head + rfc8785.dumps(row)).digest()
        assert head == told, line
    return head


def scan(device, palm, kind=None, challenge_id=None):
    """Polls for the challenge and answers it with a palm."""
    pending = device.call("GET", "/v1/challenges/pending?wait=5")["challenges"]
    assert [c["challenge_id"] for c in pending] == [challenge_id], pending
    return device.call("POST", f"/v1/challenges/{challenge_id}/complete", capture(palm, kind))


def main(binary):
    palms = PalmServer()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(os.path.abspath(binary), folder, palms.url)
        try:
            tell(server, palms, folder)
        finally:
            server.stop()
    step("the story is told")


def tell(server, palms, folder):
    server.start()
    token = sign_in(server, ADMIN, FIRST_PASSWORD, PASSWORD)
    status = server.call("GET", "/v1/admin/ssl/status", token=token)
    assert status == {
        "server_cert_configured": False,
        "platform_ca_configured": False,
        "setup_complete": False,
    }
    step("the first operator signed in over HTTP and changed the password")

    blocked = server.call("POST", "/v1/devices/pair", {"pairing_code": "A", "csr": "x", "device_info": {}}, expect=503)
    assert blocked["error"] == "mtls_not_configured"
    certificate, key = server_certificate()
    trust = os.path.join(folder, "trust.pem")
    with open(trust, "wb") as file:
        file.write(certificate)
    body, headers = multipart(cert=certificate, key=key)
    answer = server.call("PUT", "/v1/admin/ssl/server-cert", body, token, headers=headers)
    assert answer["restart_scheduled"] is True
    assert server.process.wait(30) == 0
    server.context = ssl.create_default_context(cafile=trust)
    server.start()
    step("the server certificate is up, the process restarted into HTTPS")

    login = server.call("POST", "/v1/auth/login", {"email": ADMIN, "password": PASSWORD})
    root = login["session"]["token"]
    ca = server.call("POST", "/v1/admin/ssl/ca-cert/generate", {}, root, expect=201)
    assert server.call("GET", "/v1/admin/ssl/status", token=root)["setup_complete"] is True
    server.call("POST", "/v1/admin/tenants", {"tenant_id": "acme", "name": "Acme Bank"}, root, expect=201)
    user = {"email": "Tina@Example.com", "role": "tenant_admin", "tenant_id": "acme"}
    made = server.call("POST", "/v1/admin/console-users", user, root, expect=201)
    tina = sign_in(server, "tina@example.com", made["initial_password"], PASSWORD)
    scopes = ["devices.read", "devices.write", "devices.revoke", "challenges.read", "challenges.write",
              "users.read", "users.write", "consent.read", "consent.write"]
    client = server.call("POST", "/v1/oauth-clients", {"name": "backend", "scopes": scopes}, tina, expect=201)
    form = urllib.parse.urlencode({"grant_type": "client_credentials"})
    basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    granted = server.call("POST", "/v1/auth/token", form, headers={
        "Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"})
    token = granted["access_token"]
    assert granted["token_type"] == "Bearer" and granted["expires_in"] == 900
    step("a CA, a tenant, its administrator, and an integrator with an access token")

    registered = server.call("POST", "/v1/devices", {"device_name": "Counter 3 Scanner", "location": "Branch A"}, token, expect=201)
    assert re.fullmatch("[A-Z0-9]{9}", registered["pairing_code"])
    device_id = registered["device_id"]
    scanner = Device(server, folder, trust)
    request = {"pairing_code": registered["pairing_code"], "csr": csr_for(scanner.key), "device_info": {"model": "PS-1"}}
    paired = server.call("POST", "/v1/devices/pair", request)
    assert paired["status"] == "paired" and paired["device_id"] == device_id
    again = server.call("POST", "/v1/devices/pair", request)
    assert again["certificate"] == paired["certificate"], "a lost answer costs nothing"
    thief = {**request, "csr": csr_for(ec.generate_private_key(ec.SECP256R1()))}
    refused = server.call("POST", "/v1/devices/pair", thief, expect=401)
    assert refused["error"] == "pairing_code_invalid"
    scanner.keep(paired)
    check_profile(scanner.certificate, scanner.key, ca["public_cert_pem"], "acme", device_id)
    itself = scanner.call("GET", "/v1/devices/self")
    assert itself["device_id"] == device_id and itself["status"] == "paired"
    refused = server.call("GET", "/v1/challenges/pending", expect=401)
    assert refused["error"] == "client_cert_required"
    assert scanner.call("GET", "/v1/challenges/pending")["challenges"] == []
    step("the scanner paired; its certificate is the profile, and it polls over mutual TLS")

    server.call("POST", "/v1/users", {"user_id": "user_456", "display_name": "Ada"}, token, expect=201)
    enroll = {"user_id": "user_456", "device_id": device_id, "type": "left"}
    assert server.call("POST", "/v1/enroll", enroll, token, expect=403)["error"] == "consent_required"
    consent = {"user_id": "user_456", "consent_type": "palm_biometric", "version": "1", "purposes": ["verification"], "granted": True, "method": "signature"}
    server.call("POST", "/v1/consent", consent, token, expect=201)
    # What canonical forms differ in: the order of names by UTF-16, numbers, escapes.
    metadata = {
        "document_id": "doc_123",
        "\U0001f600": "before \ufb33 in UTF-16",
        "\ufb33": "\u20ac\n\u0000\u007f\"\\/",
        "amounts": [10.0, 1e21, 1e-7, 0.1, -0.0, 333333333.33333329, 9007199254740991],
        "nested": {"b": None, "a": [True, {}, []]},
    }
    verify = {
        "user_id": "user_456",
        "device_id": device_id,
        "context": "e_signature",
        "metadata": metadata,
    }
    assert server.call("POST", "/v1/verify", verify, token, expect=400)["error"] == "user_not_enrolled"
    challenge = server.call("POST", "/v1/enroll", enroll, token, expect=201)
    outcome = scan(scanner, b"ada-left", "left", challenge["challenge_id"])
    assert outcome["status"] == "enrolled" and outcome["user_id"] == "user_456"
    assert ("acme:user_456", "left") in palms.templates
    step("a palm is enrolled, after consent, at a palm server that is not ours")

    challenge = server.call("POST", "/v1/verify", verify, token, expect=201)
    outcome = scan(scanner, b"somebody-else", None, challenge["challenge_id"])
    assert outcome["reason_code"] == "not_found" and outcome["attempts_remaining"] == 2
    outcome = scan(scanner, b"ada-left", None, challenge["challenge_id"])
    assert outcome["status"] == "completed" and outcome["user_id"] == "user_456"
    seen = server.call("GET", f"/v1/challenges/{challenge['challenge_id']}?wait=1", token=token)
    assert seen["status"] == "completed" and seen["receipt"] == outcome["receipt"]
    jwks = server.call("GET", "/.well-known/jwks.json")
    discovered = server.call("GET", "/.well-known/oauth-authorization-server")
    expected = {
        "iss": discovered["issuer"],
        "aud": client["client_id"],
        "sub": "user_456",
        "jti": challenge["challenge_id"],
        "tenant_id": "acme",
        "device_id": device_id,
        "context": verify["context"],
    }
    check_receipt(jwks, outcome["receipt"], scanner, expected, verify["metadata"])
    request_ids = [call[1] for call in palms.calls]
    assert len(set(request_ids)) == len(request_ids) and all(map(uuid.UUID, request_ids))
    step("the palm is verified, and the receipt checks out against the published key")

    renewing = scanner.context()
    fresh = ec.generate_private_key(ec.SECP256R1())
    renewed = scanner.call("POST", "/v1/devices/renew", {"csr": csr_for(fresh)})
    scanner.key = fresh
    scanner.keep(renewed)
    check_profile(scanner.certificate, scanner.key, ca["public_cert_pem"], "acme", device_id)
    assert scanner.call("GET", "/v1/devices/self")["status"] == "paired"
    assert is_refused(server, renewing), "the certificate that was renewed is out"
    step("the certificate is renewed, and the old one is refused")

    versions = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    before = []
    for version in versions:
        context = scanner.context(version)
        connection = server.connect(context)
        connection.request("GET", "/v1/devices/self")
        assert connection.getresponse().read()
        before.append((context, connection.sock.session, connection))
    gone = server.call("DELETE", f"/v1/devices/{device_id}", token=token)
    assert gone["status"] == "revoked" and gone["connections_closed"] >= 2
    for context, session, connection in before:
        with contextlib.suppress(ssl.SSLError, ConnectionError, http.client.HTTPException):
            connection.request("GET", "/v1/devices/self")
            status = connection.getresponse().status
            assert status == 401, f"a kept-alive connection answered {status}"
        assert is_refused(server, context, session), "a session from before resumes"
    for version in versions:
        assert is_refused(server, scanner.context(version)), f"a new {version.name} connection"
    step("the device is revoked and out: kept-alive, resumed and new connections, TLS 1.2 and 1.3")

    begun = server.call("DELETE", "/v1/users/user_456", {"reason": "they asked for it"}, tina, expect=202)
    server.call("GET", "/v1/users/user_456", token=tina, expect=404)
    while True:
        erasure = server.call("GET", f"/v1/erasures/{begun['erasure_id']}", token=tina)
        if erasure["status"] == "completed":
            break
        time.sleep(0.1)
    assert ("acme:user_456", "left") not in palms.templates
    said = claims_of(server, erasure["receipt"], "erasure-receipt+jwt")
    assert said["jti"] == begun["erasure_id"] and said["aud"] == "acme" and "user_456" not in json.dumps(said)
    assert [store["store"] for store in said["stores"]] == ["palm_server", "database"]
    step("the user is erased at a palm server that is not ours, and the receipt checks out")

    for who in (tina, root):
        while True:
            verified = server.call("GET", "/v1/audit/verify", token=who)
            if verified["unsealed"] == 0:
                break
        export = server.read("/v1/audit/export?format=ndjson", who)
        assert len(export.splitlines()) >= verified["checked"] > 5
        rows = b"".join(export.splitlines(keepends=True)[: verified["checked"]])
        assert check_chain(rows).hex() == verified["head"] and verified["ok"]
        check_chain(export)
    step("the audit trails of tenant and platform are exported, and whole by a foreign RFC 8785")
    assert server.stop() == 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
