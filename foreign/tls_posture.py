"""What two scanners say of the server's TLS: sslyze, against Mozilla's intermediate configuration, and
testssl.sh. What they report beyond that all is well has to be one of DEFENDED, which is reasoned about on
docs/THREAT_MODEL.md.

    python3 foreign/tls_posture.py target/debug/reference-server
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import sslyze
from sslyze.mozilla_tls_profile.tls_config_checker import (
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

# The findings of testssl.sh that are as they should be, each a row of docs/THREAT_MODEL.md, "What scanners
# report".
DEFENDED = {
    "cipher_order",
    "HSTS",
    "cert_revocation",
}
THREAT_MODEL = pathlib.Path(__file__).parent.parent / "docs" / "THREAT_MODEL.md"
FINE = {"OK", "INFO", "DEBUG"}
# So long a scan may take on a busy machine, in seconds.
PATIENCE = 900


def demo(program, folder):
    """A server that is set up, with its address and the file of the CA that its clients trust."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": folder}
    server = subprocess.Popen(
        [program, "demo"], stdout=subprocess.PIPE, text=True, env=environment
    )
    address = ca_file = None
    for line in server.stdout:
        if found := re.match(r"base URL\s+https://(\S+)", line):
            address = found[1]
        if found := re.match(r"CA file\s+(\S+)", line):
            ca_file = found[1]
        if address and ca_file:
            return server, address, ca_file
    sys.exit("the demo ended before it said where it is")


def beyond_intermediate(address, ca_file):
    """What Mozilla's intermediate configuration forbids and the server offers."""
    host, port = address.rsplit(":", 1)
    scanner = sslyze.Scanner()
    certificates = sslyze.CertificateInfoExtraArgument(custom_ca_file=pathlib.Path(ca_file))
    scanner.queue_scans(
        [
            sslyze.ServerScanRequest(
                sslyze.ServerNetworkLocation("localhost", int(port), host),
                scan_commands_extra_arguments=sslyze.ScanCommandsExtraArguments(
                    certificate_info=certificates
                ),
            )
        ]
    )
    (result,) = scanner.get_results()
    intermediate = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
    try:
        check_server_against_tls_configuration(result, intermediate)
    except ServerNotCompliantWithTlsConfiguration as refused:
        return refused.issues
    return {}


def testssl(address, ca_file, folder):
    """What testssl.sh reports beyond that all is well: by its name, the finding."""
    said = pathlib.Path(folder) / "testssl.json"
    command = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none"]
    command += ["--add-ca", ca_file, "--jsonfile", str(said), address]
    subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=PATIENCE, check=False
    )
    findings = json.loads(said.read_text())
    ended = any(finding["id"] == "scanTime" for finding in findings)
    if not ended:
        sys.exit("testssl.sh did not come to its end")
    return {f["id"]: f["finding"] for f in findings if f["severity"] not in FINE}


def main(program):
    if not shutil.which("testssl"):
        sys.exit("testssl is not there: install testssl.sh")
    page = THREAT_MODEL.read_text()
    for name in DEFENDED:
        if f"`{name}`" not in page:
            sys.exit(f"docs/THREAT_MODEL.md does not speak of {name}")
    with tempfile.TemporaryDirectory() as folder:
        server, address, ca_file = demo(program, folder)
        try:
            beyond_mozilla = beyond_intermediate(address, ca_file)
            found = testssl(address, ca_file, folder)
        finally:
            server.terminate()
            server.communicate()
    print("sslyze, beyond Mozilla's intermediate configuration:", beyond_mozilla or "nothing")
    for name, finding in found.items():
        print(f"testssl.sh: {name}: {finding}", "(defended)" if name in DEFENDED else "")
    if beyond_mozilla or found.keys() - DEFENDED:
        sys.exit("Something is reported that nobody defends.")


main(sys.argv[1])
