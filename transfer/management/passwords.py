"""Passwords of database users: in URLs, and as PostgreSQL stores them."""

import hashlib
import hmac
import secrets
import unicodedata
from base64 import b64encode
from urllib.parse import quote, urlsplit

ROUNDS = 4096  # PostgreSQL's own


def without_password(url: str) -> str:
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=login.partition(":")[0] + at + host).geturl()


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    user, _at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def verifier(password: str) -> str:
    """The verifier that PostgreSQL stores (RFC 5803): no statement or log has the password."""
    salt = secrets.token_bytes(16)
    secret = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", secret, salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    in_text = [b64encode(part).decode() for part in (salt, stored, server)]
    return "SCRAM-SHA-256${}:{}${}:{}".format(ROUNDS, *in_text)
