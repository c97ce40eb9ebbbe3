"""pkilint over many certificates in one process.

    lint.py ISSUER LEAF...        (DER files)

Prints every finding at NOTICE or above, and fails if there is one. The validators are those of
pkilint's own commands lint_pkix_cert and lint_pkix_signer_signee_cert_chain.
"""

import sys
from pathlib import Path

from pkilint import loader, report
from pkilint.bin import lint_pkix_signer_signee_cert_chain as pair
from pkilint.pkix import certificate, extension, name
from pkilint.validation import ValidationFindingSeverity

SEVERITY = ValidationFindingSeverity.NOTICE


def certificate_validator():
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(
            name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
        ),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def findings(results) -> list[str]:
    return [
        f"{finding.finding.severity.name} {finding.finding.code}: {finding.message or ''}"
        for result in results
        for finding in result.finding_descriptions
        if finding.finding.severity <= SEVERITY  # FATAL is 0
    ]


def lint(issuer_der: bytes, leaf_der: bytes, alone, decode, of_issuer, of_leaf) -> list[str]:
    load = loader.RFC5280CertificateDocumentLoader()
    found = findings(alone.validate(load.load_der_document(leaf_der, "leaf").root))
    documents = {}
    for role, der in (("issuer", issuer_der), ("subject", leaf_der)):
        documents[role] = load.load_der_document(der, role, role, documents)
    for document in documents.values():
        found += findings(decode.validate(document.root))
    found += findings(of_issuer.validate(documents["issuer"].root))
    found += findings(of_leaf.validate(documents["subject"].root))
    return found


def main() -> int:
    issuer_file, *leaf_files = sys.argv[1:]
    issuer_der = Path(issuer_file).read_bytes()
    validators = (
        certificate_validator(),
        pair.create_decoder_validation_container(),
        pair.create_issuer_validation_container(),
        pair.create_subject_validation_container(),
    )
    worst = 0
    for leaf_file in leaf_files:
        for finding in lint(issuer_der, Path(leaf_file).read_bytes(), *validators):
            print(f"{Path(leaf_file).name}: {finding}")
            worst = 1
    print(f"linted {len(leaf_files)}")
    return worst


sys.exit(main())
