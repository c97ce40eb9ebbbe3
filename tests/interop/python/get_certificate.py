"""sigstore-python as its users see it: one certificate from the CA at a URL.

    get_certificate.py FULCIO_URL TOKEN_FILE TRUSTED_ROOT

Prints the leaf as PEM. sigstore-python checks the SCT against the trusted root before it hands
the certificate out. Nothing is signed, so nothing may ask the transparency log: the stub in its
place fails when it is touched.
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from sigstore._internal.fulcio import FulcioClient
from sigstore.models import TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext


class NoRekor:
    def __getattr__(self, name):
        raise AssertionError(f"the transparency log was asked for {name}")


def main() -> None:
    url, token_file, trusted_root = sys.argv[1:]
    context = SigningContext(
        fulcio=FulcioClient(url),
        rekor=NoRekor(),
        trusted_root=TrustedRoot.from_file(trusted_root),
    )
    token = IdentityToken(Path(token_file).read_text().strip())
    with context.signer(token) as signer:
        # The cached certificate: asked for, answered and checked when the signer was made.
        sys.stdout.write(signer._signing_cert().public_bytes(Encoding.PEM).decode())


main()
