"""pyca/cryptography as a judge of what identity-pki writes and accepts: one answer a line.

    judge.py certificate FILE        what the certificate says
    judge.py request FILE            the key of a request whose signature is valid
    judge.py verify CA LEAF SECONDS  the names of a client that the CA vouches for at that time
    judge.py make FOLDER             requests that pyca makes, and their keys
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID


def spki(key):
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def certificate(path):
    cert = x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes())
    print("version", cert.version.name)
    print("serial", f"{cert.serial_number:040x}")
    print("fingerprint", cert.fingerprint(hashes.SHA256()).hex())
    print("algorithm", cert.signature_algorithm_oid.dotted_string)
    print("key", spki(cert.public_key()).hex())
    print("curve", cert.public_key().curve.name)
    print("subject", cert.subject.rfc4514_string())
    print("not_before", int(cert.not_valid_before_utc.timestamp()))
    print("not_after", int(cert.not_valid_after_utc.timestamp()))
    for extension in cert.extensions:
        critical = " critical" if extension.critical else ""
        print(f"extension{critical} {extension.oid.dotted_string} {extension.value.public_bytes().hex()}")
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    print("names", [(type(name).__name__, name.value) for name in names])


def request(path):
    csr = x509.load_pem_x509_csr(pathlib.Path(path).read_bytes())
    print(csr.is_signature_valid, spki(csr.public_key()).hex())


def verify(ca, leaf, seconds):
    from cryptography.x509 import verification

    store = verification.Store([x509.load_pem_x509_certificate(pathlib.Path(ca).read_bytes())])
    leaf = x509.load_pem_x509_certificate(pathlib.Path(leaf).read_bytes())
    now = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    verifier = verification.PolicyBuilder().store(store).time(now).build_client_verifier()
    try:
        client = verifier.verify(leaf, [])
    except verification.VerificationError as error:
        print("refused", error)
    else:
        print("verified", [name.value for name in client.subjects], len(client.chain))


def make(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "factory-7")])
    plain = x509.CertificateSigningRequestBuilder().subject_name(name)
    usage = x509.KeyUsage(True, *[False] * 8)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    for title, builder in {
        "plain": plain,
        "basic_constraints": plain.add_extension(x509.BasicConstraints(False, None), True),
        "usage": plain.add_extension(usage, True).add_extension(purpose, False),
        "password": plain.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"hunter2"),
    }.items():
        csr = builder.sign(key, hashes.SHA256())
        path = pathlib.Path(folder, title + ".pem")
        path.write_bytes(csr.public_bytes(serialization.Encoding.PEM))
        print(title, spki(key.public_key()).hex())


COMMANDS = {"certificate": certificate, "request": request, "verify": verify, "make": make}
COMMANDS[sys.argv[1]](*sys.argv[2:])
