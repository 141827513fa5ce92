"""The interface, judged by its own description: schemathesis calls every route as everybody who may, with
what fits the schemas and what does not, and every answer has to be as described, and none the server's fault.

    python3 foreign/schemas.py target/debug/reference-server 60

The last argument is how many seconds it may take. Whoever calls gets a tenant, a device and a user of their own.
"""

import base64
import contextlib
import json
import os
import secrets
import ssl
import subprocess
import sys
import tempfile
import urllib.parse

from palm_server import PalmServer
from story import ADMIN, FIRST_PASSWORD, PASSWORD, Device, Server, csr_for, multipart, pem_of, server_certificate, sign_in, step

# What an answer has to be. That it fits the request too (a refusal of what does not fit the schema, say) is
# the business of the routes' own tests.
CHECKS = ",".join([
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
])
# They end what the run needs: its own session, and a stream that goes on as long as its reader.
LEFT_OUT = ["/v1/auth/logout", "/v1/auth/password", "/v1/challenges/stream"]


def set_up(server, folder):
    """The first run, as foreign/story.py tells it; returns the root's token."""
    server.start()
    token = sign_in(server, ADMIN, FIRST_PASSWORD, PASSWORD)
    certificate, key = server_certificate()
    trust = os.path.join(folder, "trust.pem")
    with open(trust, "wb") as file:
        file.write(certificate)
    body, headers = multipart(cert=certificate, key=key)
    server.call("PUT", "/v1/admin/ssl/server-cert", body, token, headers=headers)
    assert server.process.wait(30) == 0
    server.context = ssl.create_default_context(cafile=trust)
    server.start()
    server.call("POST", "/v1/admin/ssl/ca-cert/generate", {}, token, expect=201)
    return token, trust


def fresh_root(server):
    return server.call("POST", "/v1/auth/login", {"email": ADMIN, "password": PASSWORD})["session"]["token"]


class Tenant:
    """A tenant with an administrator, a backend with every scope, a device and a user."""

    def __init__(self, server, root, folder, trust):
        name = f"tenant-{secrets.token_hex(4)}"
        server.call("POST", "/v1/admin/tenants", {"tenant_id": name, "name": name}, root, expect=201)
        user = {"email": f"admin@{name}.example", "role": "tenant_admin", "tenant_id": name}
        made = server.call("POST", "/v1/admin/console-users", user, root, expect=201)
        self.admin = sign_in(server, user["email"], made["initial_password"], PASSWORD)
        scopes = server.call("GET", "/.well-known/oauth-authorization-server")["scopes_supported"]
        # The scope of a request about a user, not of a client.
        scopes.remove("openid")
        client = {"name": "backend", "scopes": scopes}
        client = server.call("POST", "/v1/oauth-clients", client, self.admin, expect=201)
        basic = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        form = urllib.parse.urlencode({"grant_type": "client_credentials"})
        self.backend = server.call("POST", "/v1/auth/token", form, headers={
            "Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"})["access_token"]
        device = server.call("POST", "/v1/devices", {"device_name": "Counter 3"}, self.backend, expect=201)
        self.device = Device(server, folder, trust)
        pairing = {"pairing_code": device["pairing_code"], "csr": csr_for(self.device.key), "device_info": {}}
        self.device.keep(server.call("POST", "/v1/devices/pair", pairing))
        server.call("POST", "/v1/users", {"user_id": "ada"}, self.backend, expect=201)


def run(server, folder, trust, description, who, seconds, seed, options):
    """One run of schemathesis; whether it found nothing."""
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", description,
        "--url", f"https://localhost:{server.port}", "--tls-verify", trust,
        "--checks", CHECKS, "--max-time", str(int(seconds)), "--max-examples", "100000",
        "--seed", str(seed), "--generation-database", "none", "--suppress-health-check", "all",
        "--request-timeout", "40", "--continue-on-failure", "--no-color", "--warnings", "off",
        "--workers", "1", *options,
    ]
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    report = os.path.join(folder, f"{who}.txt")
    with open(report, "w") as file:
        status = subprocess.run(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT).returncode
    with open(report) as file:
        text = file.read()
    summary = [line.strip() for line in text.splitlines() if "generated" in line or "passed" in line]
    step(f"{who}: {'; '.join(summary) or 'no summary'}")
    # 0: nothing found. Anything else is a finding, or a run that did not come about.
    if status != 0:
        print(text)
    return status == 0


def main(binary, seconds):
    palms = PalmServer()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(os.path.abspath(binary), folder, palms.url)
        server.env["IDENTITY_RATE_LIMITS"] = "off"
        try:
            _, trust = set_up(server, folder)
            description = os.path.join(folder, "openapi.json")
            with open(description, "w") as file:
                json.dump(server.call("GET", "/openapi.json"), file)
            found_nothing = True
            seed = int(os.environ.get("SCHEMAS_SEED", secrets.randbelow(2**32)))
            step(f"SCHEMAS_SEED={seed}")
            callers = ["platform_admin", "tenant_admin", "backend", "device", "nobody"]
            for who in callers:
                root = fresh_root(server)
                tenant = Tenant(server, root, folder, trust)
                options = {
                    "platform_admin": ["-H", f"Authorization: Bearer {root}"],
                    "tenant_admin": ["-H", f"Authorization: Bearer {tenant.admin}"],
                    "backend": ["-H", f"Authorization: Bearer {tenant.backend}"],
                    "device": [],
                    "nobody": [],
                }[who]
                if who == "device":
                    path = os.path.join(folder, "device.pem")
                    with open(path, "wb") as file:
                        file.write(pem_of(tenant.device.key) + tenant.device.certificate.encode())
                    options = ["--request-cert", path]
                found_nothing &= run(server, folder, trust, description, who, seconds / len(callers), seed, options)
                assert server.process.poll() is None, "the server has ended"
        finally:
            with contextlib.suppress(Exception):
                server.stop()
    if not found_nothing:
        raise SystemExit("an answer was not as described")
    step("every answer was as described")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], float(sys.argv[2]))
