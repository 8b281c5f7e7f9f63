"""A package as JSON (contract): `package_document`, and its schema, from which ``docs/package.schema.json`` is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provmode.packages.container import Signature
from provmode.packages.container.certificates import Certificate
from provmode.packages.findings import Finding
from provmode.packages.model import Package
from provmode.reading import Known, Reading, plain


def package_document(package: Package, findings: tuple[Finding, ...] | None = None) -> dict[str, Any]:
    """Return everything of a package, as the schema has it; with *findings* instead of the file's own, if given."""
    return {
        **package.metadata.to_json(),
        "size": package.size,
        "files": package.files,
        "stages": list(package.stages),
        "settings": plain(package.settings),
        "commands": plain(package.commands),
        "assets": plain(package.assets),
        "secrets": plain(package.secrets),
        "tokens": plain(package.tokens),
        "signature": signature_document(package.signature),
        "findings": plain(package.findings if findings is None else findings),
    }


def signature_document(signature: Signature) -> dict[str, Any]:
    """Return a signature as three readings and what is told of its certificates."""
    stamped: Reading[Any] = signature.stamped
    if isinstance(stamped, Known):
        stamped = Known({"when": plain(stamped.value.when), "by": stamped.value.by})
    signer: Reading[Any] = signature.signer
    if isinstance(signer, Known):
        signer = Known(_certificate(signer.value))
    return {
        "signer": signer.to_json(),
        "intact": signature.intact.to_json(),
        "stamped": stamped.to_json(),
        "claimed_at": plain(signature.claimed_at),
        "issuers": [_certificate(each) for each in signature.issuers],
    }


def _certificate(certificate: Certificate) -> Mapping[str, Any]:
    told = ("subject", "issuer", "sha1", "sha256", "not_before", "not_after")
    return {name: plain(getattr(certificate, name)) for name in told}
