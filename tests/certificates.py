"""Certificates for servers that speak TLS, and the authority that signs them."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)


def certificate(folder, *, host="127.0.0.1", until=NOW + timedelta(days=1)):
    """The authority's PEM, and a context with a certificate that it has signed for the host.

    The files c.pem and c.key in the folder are of that certificate.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = signed("authority of the tests", authority_key, None, authority_key)
    extension = x509.SubjectAlternativeName([address_or_name(host)])
    made = signed(host, key, authority, authority_key, until, extension)
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "c.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", folder / "c.key")
    return authority.public_bytes(serialization.Encoding.PEM).decode(), context


def address_or_name(host):
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def signed(name, key, authority, authority_key, until=NOW + timedelta(days=1), extension=None):
    """A certificate of the key; without `extension` that of an authority itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = authority_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=9))
        .not_valid_after(until)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if extension:
        builder = builder.add_extension(extension, False)
    else:
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(
            x509.KeyUsage(False, False, False, False, False, True, False, False, False), True
        )
    return builder.sign(authority_key, hashes.SHA256())
