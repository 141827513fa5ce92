"""Reads a CRL and prints what it says. Arguments: CA certificate, CRL, serial numbers in hexadecimal."""

import sys
from pathlib import Path

from cryptography import x509

ca = x509.load_der_x509_certificate(Path(sys.argv[1]).read_bytes())
crl = x509.load_der_x509_crl(Path(sys.argv[2]).read_bytes())
print("signed", crl.is_signature_valid(ca.public_key()))
print("issuer", crl.issuer == ca.subject)
print("number", crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
authority = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
subject = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
print("key", authority.key_identifier == subject.key_identifier)
print("updates", crl.last_update_utc.isoformat(), crl.next_update_utc.isoformat())
print("entries", len(list(crl)))
for serial in sys.argv[3:]:
    entry = crl.get_revoked_certificate_by_serial_number(int(serial, 16))
    if entry is None:
        print("absent")
        continue
    reasons = [extension.value.reason.value for extension in entry.extensions]
    print("revoked", entry.revocation_date_utc.isoformat(), *reasons)
