"""A step about whose packages Windows trusts."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from provmode.ccm.model import ClientReadings
from provmode.errors import HostError
from provmode.fields import ANY_TEXT, BOOLEAN, Field, matching
from provmode.packages.on_pc.policies import trusted_provisioners
from provmode.reading import Reading, Unknown, known
from provmode.remediation.steps.base import (
    ALREADY,
    CHANGED,
    PACKAGES,
    About,
    Announce,
    Look,
    Property,
    Step,
    Work,
    no_look,
    not_proved,
    register,
)
from provmode.remediation.uploads import by_script, clean_up, uploaded, with_file
from provmode.windows.conversation import Conversation
from provmode.windows.files import sha256
from provmode.windows.scripts import DISTRUST_CERTIFICATE, TRUST_CERTIFICATE
from provmode.wsman import Operation

THUMBPRINT = matching("[0-9a-f]{40}")
BASE64 = matching("(?:[A-Za-z0-9+/]{1,20000}={0,2})?")


@register
@dataclass(frozen=True)
class SetTrustedProvisioner(Step):
    """Whether Windows trusts the packages that a certificate signs."""

    kind: ClassVar[str] = "trusted-provisioner"
    plan_fields: ClassVar[Mapping[str, Field]] = {
        "thumbprint": THUMBPRINT,
        "subject": ANY_TEXT,
        "certificate": BASE64,
        "present": BOOLEAN,
    }
    plan_description = "A certificate is made one whose provisioning packages Windows trusts, or is one no more."
    about: ClassVar[About] = PACKAGES
    in_words = "Install-TrustedProvisioningCertificate or Uninstall-TrustedProvisioningCertificate, by a static script"
    thumbprint: str
    """SHA-1 of the certificate, in lower case."""
    subject: str
    certificate: str
    """The certificate, base64 of DER: it is added, or added again by an undo. Empty if only its thumbprint is known."""
    present: bool

    @property
    def properties(self) -> tuple[Property, ...]:
        """One property: the certificate."""
        words = ("not trusted", "trusted")
        name = f"trusted provisioner {self.subject or self.thumbprint} ({self.thumbprint})"
        return (Property(name, words[not self.present], words[self.present]),)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Nothing that could be pasted: a static script gets its parameters on its standard input."""
        return ()

    @property
    def undo(self) -> SetTrustedProvisioner | None:
        """The opposite change; nothing if it would need a certificate that is not known."""
        if not self.present and not self.certificate:
            return None
        return SetTrustedProvisioner(self.thumbprint, self.subject, self.certificate, not self.present)

    def shown_after(self, client: ClientReadings, data: bytes | None) -> ClientReadings | None:
        """Return the client as it is: packages are not about it."""
        return client

    def execute(self, announce: Announce, *, data: bytes | None = None, look: Look = no_look) -> Work:
        """Install or remove the certificate, and read back whether it is trusted."""
        if (yield from self._trusted()) == self.present:
            return ALREADY
        content = self._content() if self.present else b""
        yield from look()
        announce(None)
        what = f"{'trusting' if self.present else 'no longer trusting'} {self.thumbprint}"
        if self.present:
            path = uploaded(sha256(content), "cer")
            yield from with_file(path, content, by_script(TRUST_CERTIFICATE, what, path=path))
        else:
            yield from by_script(DISTRUST_CERTIFICATE, what, thumbprint=self.thumbprint)
        if (yield from self._trusted()) != self.present:
            shown = self.properties[0]
            raise not_proved(shown.name, shown.after, shown.before)
        return CHANGED

    def clean_up(self) -> Conversation[None]:
        """Delete the file of the certificate."""
        if self.present:
            digest = sha256(self._content())
            yield from clean_up(uploaded(digest, "cer"), digest)

    def _content(self) -> bytes:
        """Return the certificate.

        Raises:
            HostError: it is not the one of the thumbprint.
        """
        try:
            content = b64decode(self.certificate, validate=True)
        except ValueError:
            content = b""
        if hashlib.sha1(content, usedforsecurity=False).hexdigest() != self.thumbprint:
            raise HostError(f"the certificate given is not {self.thumbprint}", next_step="plan anew from its file")
        return content

    def _trusted(self) -> Conversation[bool]:
        found: Reading[tuple[str, ...]] = yield from trusted_provisioners()
        if isinstance(found, Unknown):
            raise HostError(
                f"could not tell whom the PC trusts: {found.detail or found.cause}",
                next_step="look at the account's rights",
            )
        return self.thumbprint in known(found, ())
