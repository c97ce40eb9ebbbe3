#!/usr/bin/env python3
"""Writes the provider documents of this folder; see README.md. Same bytes on every run."""

import base64
import hashlib
import json
import pathlib

HERE = pathlib.Path(__file__).parent


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def modulus(label):
    """256 octets of hash output with the top and the lowest bit set, and the next such number no
    small prime divides: RSA-shaped, nobody's key."""
    stream = b"".join(hashlib.sha256(f"{label} {n}".encode()).digest() for n in range(8))
    number = int.from_bytes(stream, "big") | 1 << 2047 | 1
    while any(number % small == 0 for small in range(3, 752)):
        number += 2
    return b64(number.to_bytes(256, "big"))


def rsa(kid, **more):
    return {"kty": "RSA", "kid": kid, "n": modulus(kid), "e": "AQAB", **more}


def write(name, document):
    (HERE / name).write_text(json.dumps(document, indent=2) + "\n")


github = "https://token.actions.githubusercontent.com"
write("github.json", {
    "issuer": github,
    "jwks_uri": f"{github}/.well-known/jwks",
    "subject_types_supported": ["public", "pairwise"],
    "response_types_supported": ["id_token"],
    "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "scopes_supported": ["openid"],
})
write("github-jwks.json", {"keys": [
    rsa("38826b17-6a30-5f9b-b169-8beb8202f723", alg="RS256", use="sig",
        x5c=["c2VsZi1tYWRlLCBubyBjZXJ0aWZpY2F0ZQ=="], x5t="c2VsZi1tYWRl"),
    rsa("1f2ab83404c08ec9ea0bb99daed02186b091dbf4", alg="RS256", use="sig"),
]})

kubernetes = "https://kubernetes.default.svc.cluster.local"
write("kubernetes.json", {
    "issuer": kubernetes,
    "jwks_uri": f"{kubernetes}/openid/v1/jwks",
    "response_types_supported": ["id_token"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
})
write("kubernetes-jwks.json", {"keys": [
    rsa("VnVxv3nYqM0rc1y0vE9kTjz0pX6nS0a8mC3tVJ7kQ2s", use="sig", alg="RS256"),
]})

google = "https://accounts.google.com"
write("google.json", {
    "issuer": google,
    "authorization_endpoint": f"{google}/o/oauth2/v2/auth",
    "device_authorization_endpoint": "https://oauth2.googleapis.com/device/code",
    "token_endpoint": "https://oauth2.googleapis.com/token",
    "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
    "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
    "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
    "response_types_supported": ["code", "token", "id_token", "none"],
    "response_modes_supported": ["query", "fragment", "form_post"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "scopes_supported": ["openid", "email", "profile"],
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "sub"],
    "code_challenge_methods_supported": ["plain", "S256"],
})
write("google-jwks.json", {"keys": [
    rsa("c8ab71530972bba20b49f78a09c9852c43ff9118", use="sig", alg="RS256"),
    rsa("d5e69b8e5b2a1f3c9d0e7f6a5b4c3d2e1f0a9b8c", use="sig", alg="RS256"),
]})
